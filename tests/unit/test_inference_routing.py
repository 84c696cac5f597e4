"""Which offers are tried, and in which order."""

from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import pytest
from pydantic import SecretStr
from tests.support.fake_clock import FakeClock

from gatewayz.accounts.provider_keys import NO_KEYS, OwnKey, OwnKeys
from gatewayz.catalog.model import Offer, Pricing
from gatewayz.catalog.service import CatalogService
from gatewayz.core.errors import GatewayzError, InvalidRequest, ModelNotFound
from gatewayz.health.breakers import Breakers
from gatewayz.health.config import HealthConfig
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.scores import Scores
from gatewayz.inference.estimate import Estimate
from gatewayz.inference.preferences import MaxPrice, Preferences, ProviderPreferences
from gatewayz.inference.routing import Router
from gatewayz.inference.standing import Standing, Standings
from gatewayz.providers.config import ConfiguredProvider
from gatewayz.providers.model import Provider

MODEL, OTHER = "acme/rocket", "acme/kite"
OFF = ("off", "shut")
ESTIMATE = Estimate(prompt_bound=4000, likely_prompt=1000, output=100, likely=1100)


def offer(provider: str, prompt: str | None, completion: str | None = "0", model: str = MODEL) -> Offer:
    pricing = Pricing(prompt=prompt and Decimal(prompt), completion=completion and Decimal(completion))  # type: ignore[arg-type]
    return Offer(id=model, provider=provider, native_id=model, unique_id=model, name=model, pricing=pricing)


OFFERS = {
    MODEL: (
        offer("dear", "0.00001"),
        offer("cheap", "0.000001"),
        offer("talky", "0.0000005", "0.0001"),
        offer("unknown", None, None),
        offer("off", "0"),
        offer("shut", "0"),
    ),
    OTHER: (offer("cheap", "0.000002", model=OTHER), offer("dear", "0.00002", model=OTHER)),
}


class Listed:
    """Stands for the catalog."""

    async def find_offers(self, model: str) -> Sequence[Offer]:
        return OFFERS.get(model, ())


class World:
    def __init__(self) -> None:
        slugs = ("dear", "cheap", "talky", "unknown", *OFF)
        providers = {slug: Provider(slug=slug, name=slug, base_url="http://x") for slug in slugs}
        configured = {
            slug: ConfiguredProvider(provider=each, enabled=slug not in OFF, takes_own_keys=slug != "shut")
            for slug, each in providers.items()
        }
        self.clock, self.scores = FakeClock(), Scores()
        self.breakers, self.own_breakers = (Breakers(None, self.clock, HealthConfig(), prefix="") for _ in range(2))
        self.health = FleetHealth(None, self.clock, HealthConfig(evidence=3), prefix="")
        self.own: OwnKeys = NO_KEYS
        standings = Standings(Standing(self.breakers, self.scores, self.health), Standing(self.own_breakers, Scores()))
        self.router = Router(cast("CatalogService", Listed()), configured, standings)

    async def route(self, *models: str, **wanted: object) -> list[str]:
        preferences = Preferences(ProviderPreferences(**wanted), models)  # type: ignore[arg-type]
        found = await self.router.route(MODEL, preferences, ESTIMATE, self.own)
        return [way.account if way.offer.id == MODEL else way.name for way in found]

    async def was_seen(self, slug: str, model: str = MODEL, *, answered: int = 0, failed: int = 0) -> None:
        name = f"{slug}/{model}"
        for _ in range(answered):
            self.health.answered(slug, name, 0.4, is_stream=False)
        for _ in range(failed):
            self.health.failed(slug, name, had_begun=False, pause=0)
        await self.health.exchange()

    async def fails(self, breakers: Breakers, name: str) -> None:
        entered = await breakers.enter(name)
        assert entered is not None
        await breakers.failed(entered, pause=60)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_cheapest_for_this_very_request_goes_first_and_unknown_prices_last(world: World) -> None:
    assert await world.route() == ["cheap", "dear", "talky", "unknown"]


async def test_who_is_left_alone_goes_after_who_is_well(world: World) -> None:
    await world.fails(world.breakers, "cheap/acme/rocket")
    assert await world.route() == ["dear", "talky", "unknown", "cheap"]


async def test_who_is_degraded_goes_after_who_is_well_and_who_is_down_last(world: World) -> None:
    await world.was_seen("cheap", answered=8, failed=2)
    await world.was_seen("dear", answered=0, failed=3)
    assert await world.route() == ["talky", "unknown", "cheap", "dear"]
    assert await world.route(order=("dear",)) == ["dear", "talky", "unknown", "cheap"], "named by the request"


async def test_what_was_not_asked_for_of_late_stands_as_its_provider_does(world: World) -> None:
    await world.was_seen("cheap", answered=0, failed=3)
    assert await world.route(OTHER, only=("cheap", "dear")) == ["dear", "cheap", "dear/acme/kite", "cheap/acme/kite"]
    await world.was_seen("cheap", OTHER, answered=1)
    assert (await world.route(OTHER, only=("cheap", "dear")))[2:] == ["cheap/acme/kite", "dear/acme/kite"]


async def test_who_was_left_alone_keeps_its_place_for_the_request_that_tries_it_again(world: World) -> None:
    await world.was_seen("cheap", failed=5)
    await world.fails(world.breakers, "cheap/acme/rocket")
    assert (await world.route())[-1] == "cheap"
    world.clock.advance(61)
    assert (await world.route())[0] == "cheap"


async def test_where_all_are_down_the_order_is_as_if_none_were(world: World) -> None:
    for slug in ("cheap", "dear", "talky", "unknown"):
        await world.was_seen(slug, failed=5)
    assert await world.route() == ["cheap", "dear", "talky", "unknown"]


async def test_a_provider_that_refuses_our_account_goes_last_with_all_its_models(world: World) -> None:
    await world.fails(world.breakers, "cheap")
    assert await world.route(OTHER) == ["dear", "talky", "unknown", "cheap", "dear/acme/kite", "cheap/acme/kite"]


async def test_those_that_are_named_go_first_in_their_order(world: World) -> None:
    assert await world.route(order=("unknown", "dear")) == ["unknown", "dear", "cheap", "talky"]


async def test_without_fallbacks_there_is_one(world: World) -> None:
    assert await world.route(OTHER, order=("dear",), allow_fallbacks=False) == ["dear"]


async def test_only_and_ignore_leave_others_out(world: World) -> None:
    assert await world.route(only=("talky", "dear"), ignore=("dear",)) == ["talky"]


async def test_what_is_dearer_than_allowed_or_of_unknown_price_is_left_out(world: World) -> None:
    assert await world.route(max_price=MaxPrice(prompt=Decimal(1))) == ["cheap", "talky"]
    assert await world.route(max_price=MaxPrice(completion=Decimal(1), request=Decimal(0))) == ["cheap", "dear"]


async def test_by_latency_the_fastest_known_goes_first_and_those_unknown_by_price(world: World) -> None:
    world.scores.began("dear/acme/rocket", 0.2)
    world.scores.began("talky/acme/rocket", 0.1)
    assert await world.route(sort="latency") == ["talky", "dear", "cheap", "unknown"]


async def test_by_throughput_the_one_with_the_most_tokens_a_second_goes_first(world: World) -> None:
    for name, tokens in (("dear/acme/rocket", 100), ("talky/acme/rocket", 300)):
        world.scores.began(name, 0.1)
        world.scores.ended(name, tokens, 2.0)
    assert await world.route(sort="throughput") == ["talky", "dear", "cheap", "unknown"]


async def test_models_that_may_stand_in_come_after_all_of_the_model(world: World) -> None:
    assert await world.route(OTHER, only=("cheap", "dear")) == ["cheap", "dear", "cheap/acme/kite", "dear/acme/kite"]


async def test_where_nobody_is_left_the_field_and_who_could_be_asked_are_named(world: World) -> None:
    with pytest.raises(InvalidRequest, match=r"cheap, dear, talky, unknown could be asked") as refused:
        await world.route(only=("off",))
    assert refused.value.param == "provider"


async def test_a_model_that_nobody_has_is_not_found_be_it_one_that_stands_in(world: World) -> None:
    with pytest.raises(ModelNotFound, match="acme/moon"):
        await world.route("acme/moon")


async def test_where_no_provider_is_on_the_remedy_is_told(world: World) -> None:
    world.router._providers = {}
    with pytest.raises(GatewayzError, match="no provider of 'acme/rocket' is configured"):
        await world.route()


def own(slug: str) -> OwnKeys:
    return {slug: OwnKey(f"pk_{slug}", "", SecretStr("sk-own"))}


async def test_who_has_a_key_of_his_own_is_served_by_it_first_unless_he_names_others(world: World) -> None:
    world.own = own("dear")
    assert await world.route() == ["pk_dear", "cheap", "talky", "unknown"]
    assert await world.route(order=("talky",)) == ["talky", "pk_dear", "cheap", "unknown"]


async def test_a_provider_without_a_key_of_ours_is_there_for_who_has_one(world: World) -> None:
    world.own = own("off")
    assert (await world.route())[0] == "pk_off"
    world.own = own("shut")
    assert "pk_shut" not in await world.route(), "its operator wants nobody to use it"


async def test_how_a_provider_fares_with_our_key_says_nothing_of_how_it_does_with_anothers(world: World) -> None:
    world.own = own("cheap")
    await world.fails(world.breakers, "cheap")
    await world.fails(world.breakers, "cheap/acme/rocket")
    assert (await world.route())[0] == "pk_cheap"
    world.own = NO_KEYS
    assert (await world.route())[-1] == "cheap"


async def test_an_own_key_that_is_refused_keeps_its_place_and_one_that_fails_does_not(world: World) -> None:
    world.own = own("cheap")
    await world.fails(world.own_breakers, "pk_cheap")
    assert (await world.route())[0] == "pk_cheap"
    await world.fails(world.own_breakers, "pk_cheap/acme/rocket")
    assert (await world.route())[-1] == "pk_cheap"
