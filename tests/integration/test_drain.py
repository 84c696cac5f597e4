"""A stop of `gatewayz serve` under load: no stream is cut, what was used is charged, and nothing holds the exit up."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest
from msgspec import Struct
from tests.support.fake_upstream import DONE, FakeUpstream, event
from tests.support.gateway import install, listed, listing, parts_of, settings_for
from tests.support.patience import PATIENCE
from tests.support.served import Served, served
from tests.support.servers import migrated_database

from gatewayz.core.money import nano_usd
from gatewayz.credits.charging import journals_in
from gatewayz.embedded.servers import Servers
from gatewayz.settings import Settings, database_url

pytestmark = pytest.mark.slow

LISTS = (listing("acme", listed("rocket-1", "0.001")),)
STREAMS = 100
FEWER = 20
IDLE = 20
LIMIT = 45.0


class Place(Struct, frozen=True):
    """A database with a key that can pay, and a provider that waits in the middle of each stream."""

    settings: Settings
    key: str
    upstream: FakeUpstream

    def served(self, *, workers: int, notice: float = 0.0) -> AbstractContextManager[Served]:
        redis_url = self.settings.redis_url()
        return served(
            self.settings.data_dir,
            workers=str(workers),
            drain__notice=str(notice),
            drain__limit=str(LIMIT),
            storage__database_url=database_url(self.settings),
            cache__redis_url=redis_url or "",
            catalog__sync_on_start="false",
            providers__acme__base_url=self.upstream.base_url("paused"),
            providers__acme__api_key="sk-acme",
        )


@pytest.fixture
async def place(servers: Servers, tmp_path: Path) -> AsyncIterator[Place]:
    async with migrated_database(servers) as url, FakeUpstream().running() as upstream:
        providers = {"acme": {"base_url": upstream.base_url("paused"), "api_key": "sk-acme"}}
        settings = settings_for(servers, url, tmp_path / "data", providers=providers)
        await install(settings, LISTS)
        async with parts_of(settings) as parts:
            made = await parts.keys.create(name="n", account="a", credits=nano_usd(Decimal(100_000)))
        yield Place(settings, made.secret, upstream)


class Stream:
    """One streamed chat; `begun` once its first event came."""

    def __init__(self, client: aiohttp.ClientSession, url: str, question: str) -> None:
        self.begun = asyncio.Event()
        self.body = b""
        self._task = asyncio.create_task(self._read(client, url, question))

    async def _read(self, client: aiohttp.ClientSession, url: str, question: str) -> None:
        asked = {"model": "acme/rocket-1", "stream": True, "messages": [{"role": "user", "content": question}]}
        async with client.post(f"{url}/v1/chat/completions", data=json.dumps(asked)) as response:
            assert response.status == HTTPStatus.OK, await response.text()
            async for chunk in response.content.iter_any():
                self.body += chunk
                self.begun.set()

    @property
    def is_under_way(self) -> bool:
        return self.begun.is_set() and not self._task.done()

    async def whole(self) -> bool:
        """Whether it came to its end with all that the provider sent. Raises where it was cut."""
        await asyncio.wait_for(self._task, PATIENCE)
        return event("lo").split(b'"content"')[1][:7] in self.body and self.body.endswith(DONE)

    async def is_cut(self) -> bool:
        (outcome,) = await asyncio.gather(self._task, return_exceptions=True)
        return isinstance(outcome, aiohttp.ClientError)


@asynccontextmanager
async def client_of(place: Place) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    headers = {"Authorization": f"Bearer {place.key}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
        yield client


async def streams(client: aiohttp.ClientSession, url: str, count: int, name: str) -> list[Stream]:
    """So many, each in its middle."""
    made = [Stream(client, url, f"{name} {number}") for number in range(count)]
    async with asyncio.timeout(PATIENCE):
        for each in made:
            await each.begun.wait()
    assert all(each.is_under_way for each in made)
    return made


async def idle(url: str, stack: AsyncExitStack) -> None:
    """A connection that was used once and is kept."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")


def workers_of(gateway: Served) -> set[int]:
    children = psutil.Process(gateway.process.pid).children()
    return {each.pid for each in children if "spawn_main" in " ".join(each.cmdline())}


async def until(holds: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def readiness(client: aiohttp.ClientSession, url: str) -> tuple[int, str, str | None]:
    """Status, the drain's state, and what is said of the connection; raises where nobody listens."""
    async with client.get(f"{url}/health/ready") as response:
        body = await response.json()
        return response.status, body["checks"]["drain"]["status"], response.headers.get("Connection")


async def refused(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        await readiness(client, url)
    except aiohttp.ClientConnectorError:
        return True
    return False


async def charges(place: Place) -> int:
    connection = await asyncpg.connect(database_url(place.settings))
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM charges WHERE charged > 0 AND charged = cost")
        return count
    finally:
        await connection.close()


async def ended(gateway: Served) -> int:
    return await asyncio.to_thread(gateway.process.wait, PATIENCE)


async def test_streams_outlive_the_stop_of_their_worker_and_of_the_whole_gateway(place: Place) -> None:
    with place.served(workers=2, notice=1.0) as gateway:
        async with client_of(place) as client, AsyncExitStack() as stack:
            url = gateway.url
            await one_worker_is_told_to_stop(place, gateway, client)

            under_way = await streams(client, url, STREAMS, "all workers")
            for _ in range(IDLE):
                await idle(url, stack)
            began = time.monotonic()
            gateway.process.send_signal(signal.SIGTERM)
            await until_told(client, url)
            await until_refused(client, url)
            assert all(each.is_under_way for each in under_way)
            assert gateway.process.poll() is None

            place.upstream.may_go_on.set()
            assert all([await each.whole() for each in under_way])
            assert await ended(gateway) == 0
            assert time.monotonic() - began < LIMIT, "idle connections held the exit up"
    assert "requests_cut" not in gateway.printed
    assert await charges(place) == STREAMS + FEWER
    assert not list(journals_in(place.settings.data_dir).iterdir())


async def one_worker_is_told_to_stop(place: Place, gateway: Served, client: aiohttp.ClientSession) -> None:
    """Another is there at once; it goes when its streams have ended."""
    before = workers_of(gateway)
    under_way = await streams(client, gateway.url, FEWER, "one worker")
    leaving = min(before)
    psutil.Process(leaving).send_signal(signal.SIGTERM)
    await until(lambda: len(workers_of(gateway)) == 3, what="a worker in its place")
    assert leaving in workers_of(gateway)
    place.upstream.may_go_on.set()
    assert all([await each.whole() for each in under_way])
    await until(lambda: len(workers_of(gateway)) == 2, what="the end of the worker that was told")
    assert before - workers_of(gateway) == {leaving}
    place.upstream.may_go_on.clear()


async def until_told(client: aiohttp.ClientSession, url: str) -> None:
    """Until it is not ready, because it is about to stop, while it still answers."""
    async with asyncio.timeout(PATIENCE):
        while (found := await readiness(client, url))[0] != HTTPStatus.SERVICE_UNAVAILABLE:  # noqa: ASYNC110  it happens elsewhere
            await asyncio.sleep(0.01)
    assert found == (HTTPStatus.SERVICE_UNAVAILABLE, "failed", "close")


async def until_refused(client: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await refused(client, url):  # noqa: ASYNC110  it happens elsewhere
            await asyncio.sleep(0.02)


async def test_a_second_signal_ends_the_wait_and_what_was_used_is_charged(place: Place) -> None:
    with place.served(workers=1) as gateway:
        async with client_of(place) as client:
            (stream,) = await streams(client, gateway.url, 1, "cut")
            began = time.monotonic()
            # What a terminal does, and a service manager that asks every process of a service: no second signal.
            for pid in workers_of(gateway):
                psutil.Process(pid).send_signal(signal.SIGINT)
                psutil.Process(pid).send_signal(signal.SIGTERM)
            gateway.process.send_signal(signal.SIGINT)
            await until_refused(client, gateway.url)
            assert stream.is_under_way
            gateway.process.send_signal(signal.SIGTERM)
            assert await ended(gateway) == 0
            assert time.monotonic() - began < LIMIT
            assert await stream.is_cut()
    assert "requests_cut" in gateway.printed
    assert await charges(place) == 1
