"""`/metrics` of a real `gatewayz serve` with several workers: the same whoever is asked, and what a worker had counted
that was killed or frozen is not lost. A real Prometheus finds something for every panel of every dashboard.
"""

import asyncio
import itertools
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import psutil
import pytest
from deploy.grafana.dashboards import DASHBOARDS, WINDOW
from tests.support.fake_upstream import FakeUpstream
from tests.support.patience import PATIENCE
from tests.support.prometheus import Prometheus, scraping
from tests.support.scraped import Scraped
from tests.support.served import Served, served
from tests.support.servers import short_directory

pytestmark = pytest.mark.slow

ADMIN = "the-admin-key-of-this-test"
MODEL = "acme/rocket-1"
WORKERS = 2
LOOK_AGAIN = 0.1


class Fleet:
    """A gateway with several workers before a provider that is well and one that is not. `key`: one that it takes."""

    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self.key = ""
        self._names = itertools.count()

    async def scraped(self) -> Scraped:
        """Over a connection of its own: by one of the workers, whichever it is."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.gateway.url}/metrics") as response:
            return Scraped(await response.text())

    async def until(self, holds: Callable[[Scraped], bool]) -> Scraped:
        async with asyncio.timeout(PATIENCE):
            while not holds(found := await self.scraped()):  # noqa: ASYNC110  it happens in other processes
                await asyncio.sleep(LOOK_AGAIN)
            return found

    async def post(self, path: str, key: str, body: object) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(self.gateway.url + path, json=body) as response,
        ):
            return response.status, await (
                response.json() if response.status < 400 and path != CHAT else response.read()
            )

    async def new_key(self) -> str:
        """Of an account of its own."""
        name = f"customer-{next(self._names)}"
        _, account = await self.post("/admin/accounts", ADMIN, {"username": name})
        form = {"name": name, "account_id": account["id"], "pays_unknown_prices": True}
        status, made = await self.post("/admin/keys", ADMIN, form)
        assert status == 201, made
        key: str = made["key"]
        return key

    async def chat(self, key: str, question: str, **fields: object) -> int:
        body = {"model": MODEL, "messages": [{"role": "user", "content": question}], **fields}
        return (await self.post(CHAT, key, body))[0]

    def workers(self) -> list[psutil.Process]:
        """Those that hold the listening socket: the supervisor's other children are helpers of Python's."""
        children = psutil.Process(self.gateway.process.pid).children()
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]


CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    async with FakeUpstream().running() as upstream:
        settings = {
            "workers": str(WORKERS),
            "admin_key": ADMIN,
            "log__requests": "false",
            "catalog__sync_on_start": "false",
            "inference__rounds": "1",
            "providers__acme__base_url": upstream.base_url("answers"),
            "providers__acme__models": MODEL,
            "providers__broken__base_url": upstream.base_url("500"),
            "providers__broken__models": MODEL,
        }
        with short_directory() as directory, served(directory / "data", **settings) as gateway:
            await asyncio.to_thread(lambda: gateway.url)
            fleet = Fleet(gateway)
            fleet.key = await fleet.new_key()
            await fleet.until(lambda found: answering(found) == WORKERS)
            yield fleet
            await asyncio.to_thread(gateway.stop)
            assert not list((directory / "data").glob("gatewayz-workers-*"))


def answering(found: Scraped) -> float:
    return found['gatewayz_workers{state="answering"}']


async def test_every_panel_of_every_dashboard_shows_something(fleet: Fleet) -> None:
    async with scraping(fleet.gateway.url.removeprefix("http://")) as prometheus:
        await _until(prometheus.is_ready)
        await _until(lambda: _has(prometheus, "up == 1"))
        for number in range(2):  # what is new to Prometheus has no rate yet
            await _drive(fleet, number)
            chats = (await fleet.scraped()).sum("gatewayz_requests_total", endpoint=CHAT)
            await _until(lambda: _has(prometheus, f'sum(gatewayz_requests_total{{endpoint="{CHAT}"}}) >= {chats}'))  # noqa: B023
        left = {
            (dashboard.title, panel.title, query.replace(WINDOW, "1m"))
            for dashboard in DASHBOARDS.values()
            for panel in dashboard.panels
            for query in panel.queries.values()
        }
        assert len(left) > 60

        async def all_show() -> bool:
            left.difference_update([each for each in left if await _has(prometheus, each[2])])
            return not left

        try:
            await _until(all_show)
        except TimeoutError:
            pytest.fail(f"nothing to show: {sorted(left)}")


async def _drive(fleet: Fleet, number: int) -> None:
    """Hits, misses, streams, failures, refusals, and invalidations."""
    key = await fleet.new_key()
    for question, fields in (("whole", {}), ("stream", {"stream": True})):
        for _ in range(3):
            assert await fleet.chat(key, f"{question} {number}", **fields) == 200
    await fleet.chat(key, f"fails {number}", provider={"only": ["broken"]})
    assert await fleet.chat("gw_live_nobody", "hello") == 401
    for path in ("/v1/models?limit=2", "/health"):
        async with aiohttp.ClientSession() as client, client.get(fleet.gateway.url + path) as response:
            assert response.status == 200


async def _has(prometheus: Prometheus, query: str) -> bool:
    return any(each["value"] == each["value"] for each in await prometheus.query(query))


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110  likewise
            await asyncio.sleep(LOOK_AGAIN)


async def test_every_worker_tells_the_same_and_nothing_counted_is_lost_with_one(fleet: Fleet) -> None:
    for number in range(4 * WORKERS):
        assert await fleet.chat(fleet.key, f"question {number}") == 200
    tellers = [await fleet.scraped() for _ in range(4 * WORKERS)]
    told = {each.sum("gatewayz_requests_total", endpoint=CHAT) for each in tellers}
    assert len(told) == 1
    assert min(told) >= 4 * WORKERS
    assert tellers[0].sum("process_resident_memory_bytes") > WORKERS * 1e7

    killed = fleet.workers()[0]
    killed.kill()
    after = await fleet.until(lambda found: answering(found) == WORKERS and killed not in fleet.workers())
    _assert_not_less(after, tellers[-1])
    assert {after.sum("gatewayz_requests_total", endpoint=CHAT)} == told
    assert re.findall(r'process_open_fds\{worker="(\d+)"\}', after.text) == [str(number) for number in range(WORKERS)]

    frozen = fleet.workers()[0]
    frozen.send_signal(signal.SIGSTOP)
    try:
        silent = await fleet.until(lambda found: found['gatewayz_workers{state="silent"}'] == 1)
    finally:
        frozen.send_signal(signal.SIGCONT)
    assert answering(silent) == WORKERS - 1
    assert {silent.sum("gatewayz_requests_total", endpoint=CHAT)} == told
    _assert_not_less(silent, after)


def _assert_not_less(later: Scraped, earlier: Scraped) -> None:
    assert len(earlier.growing) > 100
    assert [series for series in earlier.growing if later.samples.get(series, 0) < earlier[series]] == []
