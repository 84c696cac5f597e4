"""From a price and what was used to nano-dollars: exact, and rounded once.

A price is an exact decimal. Decimals of any length are slow to multiply, so the prices of an offer are turned into
whole numbers of one small unit once; each request then costs some additions of integers.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from gatewayz.core.errors import PriceUnknown
from gatewayz.core.money import NanoUsd

_MOST_TARIFFS = 50_000


class Prices(Protocol):
    """US dollars per token; `image` and `request` per piece. None is unknown.

    Cached tokens whose own price is unknown cost what other prompt tokens cost. A fee for a request or an image that a
    provider does not state is none: those who take one state it.
    """

    @property
    def prompt(self) -> Decimal | None: ...
    @property
    def completion(self) -> Decimal | None: ...
    @property
    def input_cache_read(self) -> Decimal | None: ...
    @property
    def input_cache_write(self) -> Decimal | None: ...
    @property
    def image(self) -> Decimal | None: ...
    @property
    def request(self) -> Decimal | None: ...


class Used(Struct, frozen=True, kw_only=True):
    """What one request used. `prompt` counts all tokens of the prompt, those read from the provider's cache
    (`cache_read`) and written to it (`cache_write`) included.
    """

    prompt: int = 0
    completion: int = 0
    cache_read: int = 0
    cache_write: int = 0
    images: int = 0


class Tariff(Struct, frozen=True, kw_only=True):
    """The prices of one offer in units of which `per_nano` make a nano-dollar; each is a whole number of them.
    `dearest` is the highest price of a token of the prompt.

    Where a kind of tokens is used whose price nobody knows, PriceUnknown is raised; with `allow_unknown` it costs
    nothing.
    """

    per_nano: int
    prompt: int | None
    completion: int | None
    cache_read: int
    cache_write: int
    dearest: int
    image: int
    request: int

    @classmethod
    def of(cls, prices: Prices) -> "Tariff":
        known = (
            *(prices.prompt, prices.completion, prices.input_cache_read),
            *(prices.input_cache_write, prices.image, prices.request),
        )
        finest = min((_exponent(price) for price in known if price is not None), default=0)
        unit = 10 ** max(9, -finest)
        prompt = _units(prices.prompt, unit)
        read, written = _units(prices.input_cache_read, unit), _units(prices.input_cache_write, unit)
        read, written = ((prompt or 0) if price is None else price for price in (read, written))
        return cls(
            per_nano=unit // 10**9,
            prompt=prompt,
            completion=_units(prices.completion, unit),
            cache_read=read,
            cache_write=written,
            dearest=max(prompt or 0, read, written),
            image=_units(prices.image, unit) or 0,
            request=_units(prices.request, unit) or 0,
        )

    def cost(self, used: Used, *, allow_unknown: bool = False) -> NanoUsd:
        """What it costs, rounded up to a whole nano-dollar, so that what has a price is never free."""
        read = min(used.cache_read, used.prompt)
        written = min(used.cache_write, used.prompt - read)
        if not allow_unknown:
            self._check(used.prompt, used.completion)
        return self._nano(
            (self.prompt or 0) * (used.prompt - read - written)
            + self.cache_read * read
            + self.cache_write * written
            + (self.completion or 0) * used.completion
            + self.image * used.images
            + self.request
        )

    def most(self, *, prompt: int, completion: int, images: int = 0, allow_unknown: bool = False) -> NanoUsd:
        """The most that a request can cost with up to so many tokens: each of the prompt at the dearest of its prices.
        Never below what `cost` says of such a request.
        """
        if not allow_unknown:
            self._check(prompt, completion)
        dearest = max(self.prompt or 0, self.cache_read, self.cache_write)
        return self._nano(dearest * prompt + (self.completion or 0) * completion + self.image * images + self.request)

    def _check(self, prompt: int, completion: int) -> None:
        if prompt and self.prompt is None:
            raise _unknown("prompt")
        if completion and self.completion is None:
            raise _unknown("completion")

    def _nano(self, units: int) -> NanoUsd:
        return NanoUsd(-(-units // self.per_nano))


class Tariffs:
    """Remembers the tariff of each price that it was asked for, which must be frozen."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Prices, Tariff]] = {}

    def of(self, prices: Prices) -> Tariff:
        """By identity: comparing prices would take as long as the arithmetic that is saved."""
        found = self._known.get(id(prices))
        if found is None or found[0] is not prices:
            if len(self._known) >= _MOST_TARIFFS:
                self._known.clear()
            found = self._known[id(prices)] = prices, Tariff.of(prices)
        return found[1]


def hold_for(
    route: Iterable[Tariff], *, prompt: int, completion: int, images: int = 0, allow_unknown: bool = False
) -> NanoUsd:
    """The most that a request can cost, whichever of the offers serves it; `prompt` and `completion` are the most
    tokens that it can have. Raises PriceUnknown if one of them has a price that is unknown and would be used.
    """
    holds = (
        tariff.most(prompt=prompt, completion=completion, images=images, allow_unknown=allow_unknown)
        for tariff in route
    )
    return max(holds, default=NanoUsd(0))


def _unknown(kind: str) -> PriceUnknown:
    return PriceUnknown(
        f"the {kind} price of this model is unknown, so nobody can say what the request costs; "
        "ask for a model with a price, or have the key allowed to use unpriced ones",
        param="model",
    )


def _exponent(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int):
        raise TypeError(f"{price} is no price")
    return exponent


def _units(price: Decimal | None, unit: int) -> int | None:
    if price is None:
        return None
    numerator, denominator = price.as_integer_ratio()
    return numerator * unit // denominator
