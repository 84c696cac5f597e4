"""Four workers whose first provider fails, in every way it can: callers notice nothing, and the provider is spared."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway import RunningGateway, install, serving, settings_for
from tests.support.patience import PATIENCE

from gatewayz.embedded.servers import Servers

pytestmark = pytest.mark.alone

MODEL, OTHER = "acme/rocket-1", "acme/kite-1"
FAILURES = 5
WORKERS = 4
REQUESTS = 200
PAUSE = 0.5
SILENT_FOR = 2.0
"""Seconds that a provider may be silent."""
AT_ONCE = 8


class Workers:
    """`upstream` is asked as `acme`, by then as `beta`."""

    def __init__(
        self, gateways: Sequence[RunningGateway], upstream: FakeUpstream, client: aiohttp.ClientSession
    ) -> None:
        self.gateways = gateways
        self.upstream = upstream
        self._client = client

    async def ask(self, number: int = 0, **fields: object) -> tuple[int, str | None, dict[str, Any]]:
        """Status, provider and body, from one of the workers."""
        gateway = self.gateways[number % len(self.gateways)]
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **fields}
        async with self._client.post(gateway.at("/v1/chat/completions"), json=body, headers=gateway.bearer) as response:
            said = await response.read()
            whole = json.loads(said) if response.content_type == "application/json" else {"stream": said}
            return response.status, response.headers.get("x-gatewayz-provider"), whole

    async def ask_many(self, count: int, **fields: object) -> Counter[tuple[int, str | None]]:
        numbers = iter(range(count))
        found: Counter[tuple[int, str | None]] = Counter()

        async def caller() -> None:
            for number in numbers:
                status, provider, _ = await self.ask(number, **fields)
                found[status, provider] += 1

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        return found

    def asked(self, secret: str) -> int:
        return sum(each.headers["Authorization"] == f"Bearer {secret}" for each in self.upstream.asked)


@pytest.fixture
async def workers(servers: Servers, database_url: str, tmp_path: Path) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeUpstream().running())
        upstream.behaviours = {"acme": "answers", "beta": "answers"}
        providers = {
            slug: {
                "base_url": upstream.base_url(slug),
                "api_key": f"sk-{slug}",
                "models": [MODEL, *more],
                "read_timeout": SILENT_FOR,
            }
            for slug, more in (("acme", []), ("beta", [OTHER]))
        }
        settings = settings_for(
            servers,
            database_url,
            tmp_path,
            providers=providers,
            health={"failures": FAILURES, "first_pause": PAUSE, "longest_pause": PAUSE},
            inference={"first_wait": 0.01},
        )
        api_key = await install(settings, ())
        gateways = [await stack.enter_async_context(serving(settings, api_key)) for _ in range(WORKERS)]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        yield Workers(gateways, upstream, client)


@pytest.mark.parametrize(
    ("fault", "stream"), [("429", False), ("500", True), ("529", False), ("breaks", True), ("404", False)]
)
async def test_callers_notice_nothing_and_the_provider_that_fails_is_spared(
    workers: Workers, fault: str, *, stream: bool
) -> None:
    workers.upstream.behaviours["acme"] = fault
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await workers.ask_many(REQUESTS, stream=stream) == {(200, "beta"): REQUESTS}
    probes = (loop.time() - began) / PAUSE + 1
    # Those that were under way when it was opened, and what each worker had to see for itself to hear of that.
    assert workers.asked("sk-acme") <= FAILURES + AT_ONCE + WORKERS + probes


async def test_a_provider_that_is_silent_costs_a_request_one_timeout_and_later_ones_nothing(workers: Workers) -> None:
    workers.upstream.behaviours["acme"] = "silent"
    assert await workers.ask_many(FAILURES) == {(200, "beta"): FAILURES}
    asked = workers.asked("sk-acme")
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await workers.ask_many(40) == {(200, "beta"): 40}
    probes = (loop.time() - began) / SILENT_FOR + 1
    assert workers.asked("sk-acme") - asked <= AT_ONCE + probes  # until each worker has heard of it


async def test_a_provider_that_is_well_again_is_asked_again(workers: Workers) -> None:
    workers.upstream.behaviours["acme"] = "500"
    await workers.ask_many(40)
    workers.upstream.behaviours["acme"] = "answers"
    async with asyncio.timeout(PATIENCE):
        while {(await workers.ask(number))[1] for number in range(WORKERS)} != {"acme"}:
            pass


@pytest.mark.parametrize("fault", ["401", "402", "403", "no-quota"])
async def test_a_provider_that_refuses_our_account_is_left_alone_at_once_with_all_its_models(
    workers: Workers, fault: str
) -> None:
    workers.upstream.behaviours["acme"] = fault
    assert (await workers.ask(0))[:2] == (200, "beta")
    for _ in range(10):
        assert (await workers.ask(0))[:2] == (200, "beta")
    assert workers.asked("sk-acme") == 1


async def test_who_says_when_to_come_again_is_left_alone_until_then(workers: Workers) -> None:
    workers.upstream.behaviours["acme"] = "429-900"
    for _ in range(10):
        assert (await workers.ask(0))[:2] == (200, "beta")
    assert workers.asked("sk-acme") == 1


async def test_where_all_fail_for_the_moment_they_are_tried_once_more(workers: Workers) -> None:
    workers.upstream.behaviours = {"acme": "500", "beta": "500"}
    status, _, body = await workers.ask()
    assert (status, body["error"]["code"]) == (502, "provider_error")
    assert (workers.asked("sk-acme"), workers.asked("sk-beta")) == (2, 2)


async def test_where_all_are_left_alone_the_answer_says_when_to_come_again(workers: Workers) -> None:
    workers.upstream.behaviours = {"acme": "429-60", "beta": "429-30"}
    assert (await workers.ask())[0] == 502
    gateway = workers.gateways[0]
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    async with (
        gateway.client(**gateway.bearer) as client,
        client.post(gateway.at("/v1/chat/completions"), json=body) as response,
    ):
        assert response.status == 502
        assert 25 <= int(response.headers["retry-after"]) <= 30
        assert "'beta' for" in await response.text()
    assert len(workers.upstream.asked) == 2


async def test_a_fault_of_the_caller_is_tried_nowhere_else_and_held_against_nobody(workers: Workers) -> None:
    workers.upstream.behaviours["acme"] = "400"
    assert await workers.ask_many(40) == {(400, None): 40}
    workers.upstream.behaviours["acme"] = "answers"
    assert (await workers.ask())[:2] == (200, "acme")
    assert workers.asked("sk-beta") == 0


async def test_a_request_chooses_its_providers_and_they_are_not_told(workers: Workers) -> None:
    assert (await workers.ask(provider={"order": ["beta"]}))[:2] == (200, "beta")
    assert (await workers.ask(provider={"only": ["beta"]}))[:2] == (200, "beta")
    assert all("provider" not in each.body for each in workers.upstream.asked)
    status, _, body = await workers.ask(provider={"only": ["betta"]})
    assert (status, body["error"]["param"]) == (400, "provider.only")
    assert "did you mean 'beta'?" in body["error"]["message"]


async def test_another_model_stands_in_where_all_of_the_first_fail(workers: Workers) -> None:
    workers.upstream.behaviours["acme"] = "500"
    status, provider, body = await workers.ask(provider={"ignore": ["beta"]}, models=[])
    assert status == 502
    status, provider, body = await workers.ask(provider={"order": ["acme"]}, models=[OTHER])
    assert (status, provider, body["model"]) == (200, "beta", MODEL)
    workers.upstream.behaviours = {"acme": "404", "beta": "answers"}
    status, provider, body = await workers.ask(model=OTHER, models=[MODEL])
    assert (status, provider, body["model"]) == (200, "beta", OTHER)
