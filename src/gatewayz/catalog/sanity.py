"""The gate that no mistaken price passes: each is held against the median over the other providers."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from gatewayz.catalog.errors import PricesImplausible
from gatewayz.catalog.model import Offer
from gatewayz.providers.listing import RefusedRow

GATED = ("prompt", "completion")

# Below this many comparable prices a share says nothing; above, this share of refusals means a wrong unit.
_ENOUGH_TO_JUDGE = 20
_WRONG_UNIT_SHARE = 0.2


class Median(Struct, frozen=True):
    """Over the other providers' known, non-zero prices of one unique model. US dollars per token."""

    prompt: Decimal | None = None
    completion: Decimal | None = None


class Gate(Struct, frozen=True):
    """`max_ratio`: how far from the median a price may be; `max_price`: US dollars per token nobody charges."""

    max_ratio: Decimal
    max_price: Decimal

    def check(
        self, offers: Mapping[str, Offer], medians: Mapping[str, Median]
    ) -> tuple[dict[str, Offer], list[RefusedRow]]:
        """The offers with implausible prices turned unknown, and what was refused.

        Raises PricesImplausible when so many are off that the whole list's unit must be wrong.
        """
        passed: dict[str, Offer] = {}
        refused: list[RefusedRow] = []
        compared = 0
        for native_id, offer in offers.items():
            median = medians.get(offer.unique_id, Median())
            compared += median.prompt is not None and bool(offer.pricing.prompt)
            wrong = [field for field in GATED if self._is_implausible(offer, median, field)]
            refused += [
                RefusedRow(native_id, "price_implausible", f"{field}={getattr(offer.pricing, field)}")
                for field in wrong
            ]
            passed[native_id] = _without(offer, wrong)
        self._judge_the_list(compared, refused)
        return passed, refused

    def _is_implausible(self, offer: Offer, median: Median, field: str) -> bool:
        price: Decimal | None = getattr(offer.pricing, field)
        if not price:
            return False
        if price > self.max_price:
            return True
        usual: Decimal | None = getattr(median, field)
        return usual is not None and not usual / self.max_ratio <= price <= usual * self.max_ratio

    def _judge_the_list(self, compared: int, refused: list[RefusedRow]) -> None:
        rows = len({row.native_id for row in refused})
        if compared >= _ENOUGH_TO_JUDGE and rows > compared * _WRONG_UNIT_SHARE:
            raise PricesImplausible(
                f"{rows} of {compared} comparable prices are more than {self.max_ratio} times off the median of "
                f"other providers, first {refused[0].native_id!r} {refused[0].detail}; check the price unit"
            )


def _without(offer: Offer, fields: list[str]) -> Offer:
    if not fields:
        return offer
    return replace(offer, pricing=replace(offer.pricing, **dict.fromkeys(fields)))
