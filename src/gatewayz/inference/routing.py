"""Which offers to try for a request, and in which order."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from gatewayz.accounts.provider_keys import NO_KEYS, OwnKeys
from gatewayz.catalog.model import Offer
from gatewayz.catalog.service import CatalogService
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, ModelNotFound
from gatewayz.health.model import State
from gatewayz.inference.estimate import ASSUMED_OUTPUT, Estimate
from gatewayz.inference.preferences import MaxPrice, Preferences, ProviderPreferences
from gatewayz.inference.standing import Standings, Way
from gatewayz.providers.config import ConfiguredProvider

_PRICES = ("prompt", "completion", "request", "image")
_UNWELL = {State.HEALTHY: 0, State.UNKNOWN: 0, State.DEGRADED: 1, State.DOWN: 2}
"""Who is unknown may be well: it would never be asked if it went after who is."""


class Router:
    """`providers`: all that can be spoken to, by slug, enabled or not."""

    def __init__(
        self,
        catalog: CatalogService,
        providers: Mapping[str, ConfiguredProvider],
        standings: Standings,
    ) -> None:
        self._catalog = catalog
        self._providers = providers
        self._standings = standings

    async def route(
        self, model: str, preferences: Preferences, estimate: Estimate, own: OwnKeys = NO_KEYS
    ) -> Sequence[Way]:
        """Ways to try one after the other; never empty. First those of the model, then those of each that may stand in
        for it. Of one model: those that the request names, then those that are well before those that are degraded,
        and these before those that are down, then those that the caller has a key of its own for, then by what it
        sorts by. Raises ModelNotFound, InvalidRequest or GatewayzError where nobody can be asked.
        """
        route = [*await self._of_model(model, preferences.providers, estimate, own)]
        for other in preferences.models:
            route += await self._of_model(other, preferences.providers, estimate, own)
        return route if preferences.providers.allow_fallbacks else route[:1]

    async def _of_model(
        self, model: str, wanted: ProviderPreferences, estimate: Estimate, own: OwnKeys
    ) -> Sequence[Way]:
        offers = await self._catalog.find_offers(model)
        if not offers:
            raise ModelNotFound(
                f"the model {model[:200]!r} does not exist; GET /v1/models/search?q=… finds what does", param="model"
            )
        reachable = [offer for offer in offers if self._can_reach(offer, own)]
        if not reachable:
            raise self._unreachable(model, offers)
        allowed = [offer for offer in reachable if _is_allowed(offer, wanted)]
        if not allowed:
            slugs = ", ".join(sorted({offer.provider for offer in reachable}))
            raise InvalidRequest(
                f"'provider' leaves nobody who offers {model[:200]!r} within its prices; {slugs} could be asked",
                param="provider",
            )
        ways = [Way(offer, own.get(offer.provider)) for offer in allowed]
        return sorted(ways, key=lambda way: self._rank(way, wanted, estimate))

    def _rank(self, way: Way, wanted: ProviderPreferences, estimate: Estimate) -> tuple[object, ...]:
        offer = way.offer
        place = wanted.order.index(offer.provider) if offer.provider in wanted.order else len(wanted.order)
        by_sort = self._sorted_by(way, wanted, estimate)
        return place, self._unwell(way), way.own is None, *by_sort, offer.provider, offer.native_id

    def _sorted_by(self, way: Way, wanted: ProviderPreferences, estimate: Estimate) -> tuple[object, ...]:
        score = self._standings.of(way).scores.of(way.name)
        price = _price(way.offer, estimate)
        by_price = (price is None, price or 0)
        if wanted.sort == "latency":
            return (score is None, score.latency if score is not None else 0.0, *by_price)
        if wanted.sort == "throughput":
            rate = score.throughput if score is not None else None
            return (rate is None, -(rate or 0.0), *by_price)
        return by_price

    def _unwell(self, way: Way) -> int:
        """0: it is well, or nothing speaks against it; 1: degraded; 2: down. Who is half open is to be tried again, and
        so keeps its place. Of what was not asked for of late, its provider's state counts.
        """
        standing = self._standings.of(way)
        if self._pause_of(way) > 0:
            return _UNWELL[State.DOWN]
        breakers, health = standing.breakers, standing.health
        if health is None or breakers.is_half_open(way.name) or breakers.is_half_open(way.account):
            return _UNWELL[State.HEALTHY]
        state = health.state_of(way.name)
        return _UNWELL[health.state_of(way.account) if state is State.UNKNOWN else state]

    def _pause_of(self, way: Way) -> float:
        """A key of one's own that is refused keeps its place, so that its owner is told."""
        breakers = self._standings.of(way).breakers
        of_offer = breakers.pause_of(way.name)
        return of_offer if way.own is not None else max(of_offer, breakers.pause_of(way.account))

    def _can_reach(self, offer: Offer, own: OwnKeys) -> bool:
        configured = self._providers.get(offer.provider)
        if configured is None:
            return False
        return configured.enabled or (configured.takes_own_keys and offer.provider in own)

    def _unreachable(self, model: str, offers: Iterable[Offer]) -> GatewayzError:
        """Names only what helps: the keys of providers that we could speak to."""
        known = [self._providers[offer.provider].provider for offer in offers if offer.provider in self._providers]
        keys = sorted({name for provider in known for name in provider.key_variables})
        remedy = f"set one of {', '.join(keys)}" if keys else "none of its providers can be asked by this version"
        return GatewayzError(
            f"no provider of {model[:200]!r} is configured; {remedy}",
            kind=ErrorKind.PROVIDER_NOT_CONFIGURED,
            param="model",
        )


def _price(offer: Offer, estimate: Estimate) -> Decimal | None:
    """What the request may cost there; None where the price of its prompt is unknown."""
    pricing = offer.pricing
    if pricing.prompt is None:
        return None
    output = estimate.output if estimate.output is not None else ASSUMED_OUTPUT
    return (
        pricing.prompt * estimate.likely_prompt + (pricing.completion or Decimal(0)) * output + (pricing.request or 0)
    )


def _is_allowed(offer: Offer, wanted: ProviderPreferences) -> bool:
    if (wanted.only and offer.provider not in wanted.only) or offer.provider in wanted.ignore:
        return False
    return all(_is_within(offer, wanted.max_price, kind) for kind in _PRICES)


def _is_within(offer: Offer, most: MaxPrice, kind: str) -> bool:
    """A price that is unknown is not within any bound; a fee that is not stated is none."""
    bound = most.per_token(kind)
    if bound is None:
        return True
    price: Decimal | None = getattr(offer.pricing, kind)
    if price is None:
        return kind in {"request", "image"}
    return price <= bound
