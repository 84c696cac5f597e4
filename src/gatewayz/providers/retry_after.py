"""What a provider's Retry-After says (RFC 9110, 10.2.3)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def seconds_to_wait(header: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds, also where it names a moment; None where there is none, or it cannot be read."""
    if header is None:
        return None
    text = header.strip()
    try:
        return float(text) if _SECONDS.fullmatch(text) else _until(text, now)
    except (TypeError, ValueError, OverflowError):
        return None


def _until(text: str, now: datetime | None) -> float:
    moment = parsedate_to_datetime(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
