"""A list comes whole or not at all, and the key goes nowhere else."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from msgspec.structs import replace
from tests.support.list_server import ListServer

from gatewayz.providers.auth import X_API_KEY
from gatewayz.providers.errors import BrokenListing, ListingUnavailable
from gatewayz.providers.fetch import MOST_PAGES, fetch_listing, probe_listing
from gatewayz.providers.model import ListSource, Provider
from gatewayz.providers.shapes.table import ANTHROPIC, OPENROUTER, PRICE_MAP
from gatewayz.providers.table import AFTER_ID, PROVIDERS

KEY = "sk-never-to-be-seen"


@pytest.fixture
async def server() -> AsyncIterator[ListServer]:
    async with ListServer().running() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as open_session:
        yield open_session


def provider(base_url: str, source: ListSource | None = None) -> Provider:
    return Provider(slug="acme", name="Acme", base_url=base_url, listing=source or ListSource(shape=OPENROUTER))


def failing(server: ListServer, mode: str, source: ListSource | None = None) -> Provider:
    return provider(f"{server.url}/failing/{mode}", source)


async def test_a_list_is_fetched_after_the_base_url_with_the_key(
    server: ListServer, session: aiohttp.ClientSession
) -> None:
    found = await fetch_listing(session, provider(f"{server.url}/openrouter/"), KEY)
    assert len(found.models) == 3
    path, headers = server.asked[0]
    assert path == "/openrouter/models"
    assert headers["Authorization"] == f"Bearer {KEY}"


async def test_the_key_goes_the_way_the_provider_wants_it(server: ListServer, session: aiohttp.ClientSession) -> None:
    asked = replace(provider(f"{server.url}/openrouter"), auth=X_API_KEY, headers={"anthropic-version": "2023-06-01"})
    await fetch_listing(session, asked, KEY)
    _, headers = server.asked[0]
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in headers


async def test_without_a_key_none_is_sent(server: ListServer, session: aiohttp.ClientSession) -> None:
    await fetch_listing(session, provider(f"{server.url}/openrouter"), None)
    assert "Authorization" not in server.asked[0][1]


async def test_an_absolute_list_url_stands_alone(server: ListServer, session: aiohttp.ClientSession) -> None:
    source = ListSource(path=f"{server.url}/price-map/groq", shape=PRICE_MAP)
    found = await fetch_listing(session, provider("http://elsewhere.invalid", source), None)
    assert [model.native_id for model in found.models] == ["llama-3.3-70b-versatile"]


async def test_every_page_of_a_list_is_fetched(server: ListServer, session: aiohttp.ClientSession) -> None:
    paged = failing(server, "paged", ListSource(shape=ANTHROPIC, paging=AFTER_ID))
    found = await fetch_listing(session, paged, KEY)
    assert [model.native_id for model in found.models] == ["model-1", "model-2", "model-3"]
    assert [path for path, _ in server.asked] == [
        "/failing/paged/models?limit=1000",
        "/failing/paged/models?limit=1000&after_id=1",
        "/failing/paged/models?limit=1000&after_id=2",
    ]


async def test_a_list_without_end_is_broken_after_a_bounded_number_of_pages(
    server: ListServer, session: aiohttp.ClientSession
) -> None:
    endless = failing(server, "endless", ListSource(shape=ANTHROPIC, paging=AFTER_ID))
    with pytest.raises(BrokenListing, match="does not end"):
        await fetch_listing(session, endless, KEY)
    assert len(server.asked) == MOST_PAGES


async def test_a_list_that_goes_in_circles_is_broken(server: ListServer, session: aiohttp.ClientSession) -> None:
    circling = failing(server, "circling", ListSource(shape=ANTHROPIC, paging=AFTER_ID))
    with pytest.raises(BrokenListing, match="does not end"):
        await fetch_listing(session, circling, KEY)
    assert len(server.asked) == 2


@pytest.mark.parametrize(("mode", "status"), [("500", 500), ("401", 401), ("no-such", 404)])
async def test_a_refusal_names_provider_and_status_and_never_the_key(
    server: ListServer, session: aiohttp.ClientSession, mode: str, status: int
) -> None:
    with pytest.raises(ListingUnavailable, match=rf"'acme'.*{status}") as caught:
        await fetch_listing(session, failing(server, mode), KEY)
    assert caught.value.status == status
    assert KEY not in str(caught.value)


async def test_a_list_that_does_not_come_is_given_up(server: ListServer, session: aiohttp.ClientSession) -> None:
    source = ListSource(shape=OPENROUTER, deadline=0.05)
    with pytest.raises(ListingUnavailable, match=r"'acme'.*0\.05 seconds"):
        await fetch_listing(session, failing(server, "slow", source), KEY)


async def test_a_dropped_connection_is_unavailable(server: ListServer, session: aiohttp.ClientSession) -> None:
    with pytest.raises(ListingUnavailable, match="'acme'"):
        await fetch_listing(session, failing(server, "cut-off"), KEY)


async def test_a_host_that_is_not_there_is_unavailable(session: aiohttp.ClientSession) -> None:
    async with ListServer().running() as gone:
        address = gone.url
    with pytest.raises(ListingUnavailable, match="'acme'"):
        await fetch_listing(session, provider(address), KEY)


@pytest.mark.parametrize("mode", ["truncated", "html", "no-rows"])
async def test_what_is_no_list_is_broken(server: ListServer, session: aiohttp.ClientSession, mode: str) -> None:
    with pytest.raises(BrokenListing, match="last good list is kept"):
        await fetch_listing(session, failing(server, mode), KEY)


@pytest.mark.parametrize(("mode", "models"), [("empty", 0), ("half", 1)])
async def test_a_short_list_is_still_a_list(
    server: ListServer, session: aiohttp.ClientSession, mode: str, models: int
) -> None:
    assert len((await fetch_listing(session, failing(server, mode), KEY)).models) == models


async def test_a_redirect_to_another_host_is_not_followed(server: ListServer, session: aiohttp.ClientSession) -> None:
    with pytest.raises(ListingUnavailable, match="another host"):
        await fetch_listing(session, failing(server, "elsewhere"), KEY)


async def test_a_redirect_on_the_same_host_is_followed(server: ListServer, session: aiohttp.ClientSession) -> None:
    assert len((await fetch_listing(session, failing(server, "moved"), KEY)).models) == 3


async def test_a_redirect_without_end_is_given_up(server: ListServer, session: aiohttp.ClientSession) -> None:
    with pytest.raises(ListingUnavailable, match="redirects without end"):
        await fetch_listing(session, failing(server, "redirect-loop"), KEY)
    assert len(server.asked) == 4


async def test_a_provider_without_a_list_route_needs_no_network(session: aiohttp.ClientSession) -> None:
    demo = next(known for known in PROVIDERS if known.slug == "demo")
    found = await fetch_listing(session, demo, None)
    assert [model.native_id for model in found.models] == ["demo/echo"]
    assert found.models[0].is_free


async def test_a_made_up_catalog_is_as_long_as_asked_and_changes_where_asked(
    server: ListServer, session: aiohttp.ClientSession
) -> None:
    base = provider(f"{server.url}/synthetic/3000")
    before = await fetch_listing(session, base, None)
    changed = ListSource(path="/models?changed=5", shape=OPENROUTER)
    after = await fetch_listing(session, replace(base, listing=changed), None)
    assert (len(before.models), before.refused) == (3000, ())
    assert sum(a != b for a, b in zip(before.models, after.models, strict=True)) == 5


async def test_a_probe_asks_for_the_list_as_a_sync_does_and_reads_none_of_it(
    server: ListServer, session: aiohttp.ClientSession
) -> None:
    await probe_listing(session, failing(server, "html"), KEY, within=30)
    path, headers = server.asked[0]
    assert (path, headers["Authorization"]) == ("/failing/html/models", f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("mode", "within", "expected"),
    [
        ("500", 30, "refused with status 500"),
        ("401", 30, "check its API key"),
        ("slow", 0.05, r"did not answer within 0\.05 seconds"),
    ],
)
async def test_a_probe_says_what_is_wrong_and_not_the_key(
    server: ListServer, session: aiohttp.ClientSession, mode: str, within: float, expected: str
) -> None:
    with pytest.raises(ListingUnavailable, match=expected) as refused:
        await probe_listing(session, failing(server, mode), KEY, within=within)
    assert KEY not in refused.value.message


async def test_who_has_no_list_cannot_be_probed(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ListingUnavailable, match="has no list"):
        await probe_listing(session, Provider(slug="acme", name="Acme", base_url="http://x"), None, within=1)
