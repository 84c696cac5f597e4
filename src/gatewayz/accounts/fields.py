"""What may be said of a key, an account or a plan. Each field is checked here, whoever says it."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeAlias

import msgspec

from gatewayz.accounts.limit_names import LIMIT_NAMES, MOST, Amounts
from gatewayz.accounts.scopes import SCOPES
from gatewayz.core.errors import InvalidRequest

LONGEST_TEXT = 200
MOST_ITEMS = 100
MOST_NANO = 10**18
_LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MODEL = re.compile(r"[^\s*]{1,200}|[^\s*]{0,198}\*")

Check: TypeAlias = Callable[[str, Any, float], object]
"""From the field's name, its value and the present moment to the column's value. Raises InvalidRequest."""

Columns: TypeAlias = Mapping[str, tuple[str, Check]]
"""By the field's name, its column and its check."""


def columns_of(columns: Columns, fields: Mapping[str, Any], now: float) -> dict[str, object]:
    """The fields as columns, each checked. The first field that is wrong is named in an InvalidRequest."""
    return {columns[name][0]: columns[name][1](name, value, now) for name, value in fields.items()}


def text(field: str, value: str, _now: float = 0) -> str:
    if not value.isprintable() or not 1 <= len(value) <= LONGEST_TEXT or value != value.strip():
        raise InvalidRequest(
            f"{field!r} must be 1 to {LONGEST_TEXT} printable characters with no space around them, not {value[:80]!a}",
            param=field,
        )
    return value


def optional(check: Check) -> Check:
    """The same check, and None is allowed."""
    return lambda field, value, now: None if value is None else check(field, value, now)


def flag(_field: str, value: bool, _now: float) -> bool:  # noqa: FBT001  a check's signature
    return value


def slug(field: str, value: str, _now: float) -> str:
    if not _SLUG.fullmatch(value):
        raise InvalidRequest(
            f"{field!r} must be 1 to 64 of a-z, 0-9, '-' and '_', and begin with a letter or digit, not {value[:80]!a}",
            param=field,
        )
    return value


def scopes(field: str, value: Sequence[str], _now: float) -> list[str]:
    return _each_of(field, value, SCOPES)


def one_of(*choices: str) -> Check:
    return lambda field, value, _now: _each_of(field, [value], choices)[0]


def _each_of(field: str, values: Sequence[str], allowed: Collection[str]) -> list[str]:
    for value in values:
        if value not in allowed:
            raise InvalidRequest(f"{field!r} can hold {', '.join(map(repr, allowed))}, not {value[:80]!a}", param=field)
    if not values:
        raise InvalidRequest(f"{field!r} must hold at least one of {', '.join(map(repr, allowed))}", param=field)
    return list(dict.fromkeys(values))


def models(field: str, value: Sequence[str], _now: float) -> list[str]:
    _few(field, value)
    for each in value:
        if not each.isprintable() or not _MODEL.fullmatch(each) or (each.endswith("*") and not each.endswith("/*")):
            raise InvalidRequest(
                f"{field!r} holds public model ids such as 'openai/gpt-4o', or 'openai/*', not {each[:80]!a}",
                param=field,
            )
    return list(dict.fromkeys(value))


def networks(field: str, value: Sequence[str], _now: float) -> list[IPv4Network | IPv6Network]:
    _few(field, value)
    found: dict[IPv4Network | IPv6Network, None] = {}
    for each in value:
        try:
            found[ip_network(each)] = None
        except ValueError as error:
            raise InvalidRequest(
                f"{field!r} holds networks such as '192.0.2.0/24' or '2001:db8::1', not {each[:80]!a}: {error}",
                param=field,
            ) from error
    return list(found)


def _few(field: str, value: Sequence[str]) -> None:
    if len(value) > MOST_ITEMS:
        raise InvalidRequest(f"{field!r} can hold at most {MOST_ITEMS}, not {len(value)}", param=field)


def own_limits(field: str, value: Amounts, _now: float) -> str:
    """Limits of an account, of which None lifts its plan's."""
    for name, amount in value.items():
        if name not in LIMIT_NAMES:
            raise InvalidRequest(
                f"there is no limit {name[:80]!a}; there are {', '.join(LIMIT_NAMES)}",
                param=f"{field}.{name}"[:80],
            )
        if amount is not None and not 1 <= amount <= MOST:
            raise InvalidRequest(
                f"the limit {name!r} must be from 1 to {MOST:,}, not {amount}", param=f"{field}.{name}"
            )
    return msgspec.json.encode(value, order="sorted").decode()


def limits(field: str, value: Amounts, now: float) -> str:
    """Limits of a key or a plan: there is nothing below that None could lift, so it is the same as absence."""
    return own_limits(field, {name: amount for name, amount in value.items() if amount is not None}, now)


def amount(field: str, value: int, _now: float) -> int:
    if not 0 <= value <= MOST_NANO:
        raise InvalidRequest(f"{field!r} must be from 0 to {MOST_NANO:,} nano-dollars, not {value}", param=field)
    return value


def positive_amount(field: str, value: int, now: float) -> int:
    if value == 0:
        raise InvalidRequest(f"{field!r} must be more than 0", param=field)
    return amount(field, value, now)


def later(field: str, value: float, now: float) -> datetime:
    if not now < value <= _LAST_MOMENT or math.isnan(value):
        raise InvalidRequest(
            f"{field!r} must be a moment to come, in Unix seconds, not {value!r}; it is {now:.0f} now", param=field
        )
    return datetime.fromtimestamp(value, UTC)
