"""One version of the catalog, ready to answer: fragments encoded, orders worked out, names indexed.

A snapshot never changes, so a request that holds one sees one version throughout.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal

from msgspec import Struct

from gatewayz.catalog.fragments import cheapest_of, model_form, unique_form
from gatewayz.catalog.layout import Fragments, Layout
from gatewayz.catalog.model import Catalog, CatalogStats, Offer, ProviderRecord, UniqueModels
from gatewayz.catalog.ordering import Order, indices, ordered, thresholds

UniqueSort = Literal["provider_count", "name", "cheapest_price"]
OfferSort = Literal["id", "name", "price", "context_length", "created"]

_OFFER_KEYS: Mapping[OfferSort, Callable[[Offer], Any]] = {
    "id": lambda offer: offer.id,
    "name": lambda offer: offer.name.lower(),
    "price": lambda offer: offer.pricing.prompt,
    "context_length": lambda offer: offer.context_length,
    "created": lambda offer: offer.created,
}
_UNIQUE_KEYS: Mapping[UniqueSort, Callable[["UniqueEntry"], Any]] = {
    "provider_count": lambda entry: entry.provider_count,
    "name": lambda entry: entry.name.lower(),
    "cheapest_price": lambda entry: entry.cheapest_price,
}
ORDERS: tuple[Order, Order] = ("asc", "desc")


class UniqueEntry(Struct, frozen=True):
    id: str
    name: str
    offers: tuple[int, ...]
    provider_count: int
    cheapest_price: Decimal | None


class Snapshot:
    """`offers` holds the active ones, in the order (id, provider); numbers in every order point into it."""

    def __init__(self, catalog: Catalog, uniques: UniqueModels, stats: CatalogStats) -> None:
        self.version = blake2b(f"{catalog.version}{uniques.version}{stats}".encode(), digest_size=8).hexdigest()
        self.stats = stats
        self.providers: Mapping[str, ProviderRecord] = {record.slug: record for record in catalog.providers}
        self.provider_names = {record.slug: record.name for record in catalog.providers}
        self.offers = tuple(offer for offer in catalog.offers if offer.is_active)
        self.fragments = Fragments.of(model_form(offer) for offer in self.offers)
        self.everything = indices(range(len(self.offers)))
        self._layouts: dict[object, Layout] = {}
        self.by_provider = self._group(lambda offer: offer.provider)
        self.search_texts = [f"{offer.id} {offer.name} {offer.provider}".lower() for offer in self.offers]
        self._by_name = self._index_names()
        self._offer_orders = {
            (sort, order): ordered(self.everything, [key(offer) for offer in self.offers].__getitem__, order)
            for sort, key in _OFFER_KEYS.items()
            for order in ORDERS
        }
        self.uniques = self._unique_entries(uniques)
        self.unique_fragments = Fragments.of(self._unique_form(entry) for entry in self.uniques)
        self._unique_orders = self._order_uniques()

    def offer_order(self, sort: OfferSort, order: Order) -> Sequence[int]:
        return self._offer_orders[sort, order]

    def unique_order(
        self, sort: UniqueSort, order: Order, *, min_providers: int = 0, include_inactive: bool = False
    ) -> Sequence[int]:
        """Numbers of unique models, sorted; ties by id, unknown prices last either way."""
        levels = self._unique_orders[sort, order, include_inactive]
        return levels[min_providers] if min_providers < len(levels) else ()

    def offer_layout(self, provider: str | None = None) -> Layout:
        """Every offer, or those of one provider, by (id, provider), laid out at the first call and kept."""
        numbers = self.everything if provider is None else self.by_provider.get(provider, ())
        return self._laid_out(provider, self.fragments, numbers)

    def unique_layout(
        self, sort: UniqueSort, order: Order, *, min_providers: int = 0, include_inactive: bool = False
    ) -> Layout:
        """What `unique_order` gives, laid out at the first call and kept."""
        numbers = self.unique_order(sort, order, min_providers=min_providers, include_inactive=include_inactive)
        asked = (sort, order, include_inactive, min_providers) if numbers else ()
        return self._laid_out(asked, self.unique_fragments, numbers)

    def find_offers(self, name: str) -> Sequence[int]:
        """Every offer of the model that has this name, in any letter case: unique id, public id or a provider's own.

        A name that one provider uses finds the same model at all who offer it, whatever they call it.
        """
        return self._by_name.get(name.lower(), ())

    def _laid_out(self, asked: object, fragments: Fragments, numbers: Sequence[int]) -> Layout:
        layout = self._layouts.get(asked)
        if layout is None:
            layout = self._layouts[asked] = Layout(fragments, numbers)
        return layout

    def _group(self, key: Callable[[Offer], str]) -> dict[str, Sequence[int]]:
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for index, offer in enumerate(self.offers):
            groups[key(offer)].append(index)
        return {name: indices(group) for name, group in groups.items()}

    def _index_names(self) -> dict[str, Sequence[int]]:
        models = self._group(lambda offer: offer.unique_id)
        names: defaultdict[str, set[str]] = defaultdict(set)
        for offer in self.offers:
            for name in (offer.id, offer.unique_id, offer.native_id.lower()):
                names[name].add(offer.unique_id)
        return {name: _merged([models[unique_id] for unique_id in found]) for name, found in names.items()}

    def _unique_entries(self, uniques: UniqueModels) -> tuple[UniqueEntry, ...]:
        numbers = {(offer.provider, offer.native_id): index for index, offer in enumerate(self.offers)}
        return tuple(
            self._unique_entry(model.id, model.name, tuple(numbers[pair] for pair in model.offers if pair in numbers))
            for model in uniques.models
        )

    def _unique_entry(self, unique_id: str, name: str, numbers: tuple[int, ...]) -> UniqueEntry:
        offers = [self.offers[number] for number in numbers]
        cheapest = cheapest_of(offers)
        return UniqueEntry(
            id=unique_id,
            name=name,
            offers=numbers,
            provider_count=len({offer.provider for offer in offers}),
            cheapest_price=cheapest.pricing.prompt if cheapest else None,
        )

    def _unique_form(self, entry: UniqueEntry) -> dict[str, Any]:
        offers = [self.offers[number] for number in entry.offers]
        return unique_form(entry.id, entry.name, offers, self.provider_names, cheapest_of(offers))

    def _order_uniques(self) -> dict[tuple[UniqueSort, Order, bool], list[Sequence[int]]]:
        every = indices(range(len(self.uniques)))
        active = indices(number for number in every if self.uniques[number].offers)

        def count(number: int) -> int:
            return self.uniques[number].provider_count

        return {
            (sort, order, include_inactive): thresholds(
                ordered(scope, [key(entry) for entry in self.uniques].__getitem__, order), count
            )
            for sort, key in _UNIQUE_KEYS.items()
            for order in ORDERS
            for include_inactive, scope in ((False, active), (True, every))
        }


def _merged(groups: Sequence[Sequence[int]]) -> Sequence[int]:
    """One group as it is, for nearly every name; several in one order."""
    return groups[0] if len(groups) == 1 else indices(sorted({number for group in groups for number in group}))
