"""Prices as providers write them, made exact US dollars per token (`image`, `request`: per piece)."""

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from enum import Enum

from gatewayz.providers.listing import PRICE_FIELDS

FREE_SUFFIX = ":free"

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST_NUMBER = 64
_EXACT = Context(prec=2 * _LONGEST_NUMBER)  # no product of two numbers we accept is ever rounded
_DYNAMIC = Decimal(-1)
_ZERO = Decimal(0)
_ABSURD = Decimal(1_000_000)
_LARGEST = 10**18  # whatever the unit, more than this is no price; NaN and infinity are not below it either
_FINEST_EXPONENT = -40


class Unit(Enum):
    """What the number 1 in a list means, in US dollars per token or piece."""

    USD = Decimal(1)
    CENTS = Decimal("1e-2")
    USD_PER_THOUSAND = Decimal("1e-3")
    USD_PER_MILLION = Decimal("1e-6")
    TEN_THOUSANDTHS_OF_USD_PER_MILLION = Decimal("1e-10")  # the same as cents per hundred million


class BadPriceError(ValueError):
    """The value is no price; the message shows it, shortened."""


def read_number(raw: object) -> Decimal | None:
    """The number exactly as written, or None where the list gives none (absent, null, blank).

    A float counts as its shortest decimal form, so `1e-07` is one ten-millionth and not its binary neighbour.
    Raises BadPriceError for anything that is not a finite decimal number of sane length.
    """
    text = _number_text(raw)
    if not text:
        return None
    if len(text) > _LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
        raise BadPriceError(shown(raw))
    return Decimal(text)


def is_dynamic(number: Decimal) -> bool:
    """-1 is the sign for a price that depends on what the request is routed to."""
    return number == _DYNAMIC


def usd(number: Decimal, unit: Unit) -> Decimal:
    """Exact US dollars in one form for equal prices. Raises BadPriceError below zero or beyond sense."""
    return _sane(_EXACT.multiply(number, unit.value))


def share(price: Decimal, of_it: Decimal) -> Decimal:
    """An exact part of a price. Raises BadPriceError where the result is no sane price."""
    return _sane(_EXACT.multiply(price, of_it))


def with_free_suffix(native_id: str, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """An id that ends in `:free` says that tokens cost nothing, where the list does not price them itself."""
    stated = {"prompt": _ZERO, "completion": _ZERO} if native_id.endswith(FREE_SUFFIX) else {}
    known = {**stated, **prices}
    return {field: known[field] for field in PRICE_FIELDS if field in known}


def is_free(prices: Mapping[str, Decimal]) -> bool:
    """Tokens are priced at zero both ways, and nothing else is charged for."""
    return "prompt" in prices and "completion" in prices and not any(prices.values())


def shown(value: object) -> str:
    """A value as it may stand in a log or a message: escaped and at most 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print an integer of thousands of digits
        return "<an endless integer>"
    return text if len(text) <= 80 else f"{text[:79]}…"


def _number_text(raw: object) -> str:
    if raw is None:
        return ""
    if isinstance(raw, str):
        return raw.strip()
    if isinstance(raw, Decimal):
        return str(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not abs(raw) < _LARGEST:
        raise BadPriceError(shown(raw))
    return repr(raw)


def _sane(price: Decimal) -> Decimal:
    if price < 0 or price >= _ABSURD:
        raise BadPriceError(shown(str(price)))
    normal = price.normalize(_EXACT)
    exponent = normal.as_tuple().exponent
    if isinstance(exponent, int) and exponent < _FINEST_EXPONENT:
        raise BadPriceError(shown(str(price)))
    return abs(normal)  # never a negative zero
