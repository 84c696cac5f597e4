"""Money is an integer of nano-dollars; a price is an exact decimal of US dollars."""

from decimal import Decimal
from typing import NewType

from gatewayz.core.errors import InvalidRequest

NanoUsd = NewType("NanoUsd", int)

NANO_PER_USD = 1_000_000_000


def nano_usd(usd: Decimal) -> NanoUsd:
    """The amount in nano-dollars. Raises InvalidRequest for an amount finer than one nano-dollar."""
    nano = usd * NANO_PER_USD
    if not nano.is_finite() or nano != nano.to_integral_value():
        raise InvalidRequest(f"{usd} US dollars is not a whole number of nano-dollars; give at most nine decimals")
    return NanoUsd(int(nano))


def usd(nano: NanoUsd) -> Decimal:
    return Decimal(nano) / NANO_PER_USD


def plain(amount: Decimal) -> str:
    """The decimal in plain notation, with no exponent and no trailing zeros: `0.00000015`, never `1.5E-7`."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text or "0"
