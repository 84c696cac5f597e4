"""What a provider's Retry-After says (RFC 9110, 10.2.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def seconds_to_wait(header: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds, also where it names a moment; None where there is none, or it cannot be read."""
    if header is None:
        return None
    text = header.strip()
    try:
        return max(0.0, float(text)) if text.replace(".", "", 1).isdigit() else _until(text, now)
    except (TypeError, ValueError, OverflowError):
        return None


def _until(text: str, now: datetime | None) -> float:
    moment = parsedate_to_datetime(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
