"""What options say of keys, accounts and plans: amounts, limits, moments."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from gatewayz.core.clock import Clock
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.money import NanoUsd, nano_usd

NEVER = "never"
NONE = "none"
ANY = "any"

_MOST_DOLLARS = 1_000_000
_SPAN = re.compile(r"([1-9][0-9]{0,6})(m|h|d)")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def amount(option: str, text: str) -> NanoUsd:
    """US dollars, such as 10 or 2.50."""
    try:
        dollars = Decimal(text)
    except InvalidOperation:
        dollars = Decimal(-1)
    if not dollars.is_finite() or dollars < 0:
        raise InvalidRequest(f"{option} must be an amount of US dollars such as 10 or 2.50, not {text!r}")
    if dollars > _MOST_DOLLARS:
        raise InvalidRequest(f"{option} can be at most {_MOST_DOLLARS} US dollars, not {text}")
    return nano_usd(dollars)


def amount_or_none(option: str, text: str) -> NanoUsd | None:
    return None if text == NONE else amount(option, text)


def limits(option: str, texts: Sequence[str]) -> dict[str, int | None]:
    """Of `requests_per_minute=600`, one each; `=none` lifts one; `none` alone: no limit at all."""
    found: dict[str, int | None] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if text == NONE and len(texts) == 1:
            return {}
        if not sign or (value != NONE and not (value.isascii() and value.isdigit() and len(value) <= 16)):
            raise InvalidRequest(f"{option} must be such as requests_per_minute=600 or concurrent=none, not {text!r}")
        found[name] = None if value == NONE else int(value)
    return found


def several(texts: Sequence[str]) -> list[str]:
    """The texts; `any` alone stands for none of them."""
    return [] if list(texts) == [ANY] else list(texts)


def span(option: str, text: str) -> float:
    """Seconds of a time such as 90m, 12h or 30d."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"{option} must be a time such as 90m, 12h or 30d, not {text!r}")
    return float(int(found[1]) * _SECONDS[found[2]])


def moment(option: str, text: str, clock: Clock) -> float | None:
    """Unix seconds of `30d` from now, of a date or time in UTC, or None for `never`."""
    if text == NEVER:
        return None
    if _SPAN.fullmatch(text):
        return clock.now() + span(option, text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{option} must be a time from now such as 12h or 30d, a date such as 2030-12-31, or never, not {text!r}"
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def shown(moment_at: float | None) -> str:
    return "" if moment_at is None else datetime.fromtimestamp(moment_at, UTC).strftime("%Y-%m-%d %H:%M")
