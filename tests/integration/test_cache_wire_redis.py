"""The wire, and the cache over it, before a real Redis."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.support.cache_world import LENIENT, STRICT, WHOLE, Source, Thing, eventually, local_cache, until
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.redis_programs import VERSIONS

from gatewayz.cache import scripts
from gatewayz.cache.cache import Cache
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity
from gatewayz.cache.reading import Question
from gatewayz.cache.replies import read_call
from gatewayz.cache.wire.endpoint import dial_like
from gatewayz.cache.wire.errors import Late, LinkLost, NotConnected
from gatewayz.cache.wire.exchange import Command
from gatewayz.cache.wire.wire import Wire

pytestmark = pytest.mark.alone

TLS = Path(__file__).parents[1] / "fixtures" / "tls"
LONG = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=400_000))


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[OwnRedis]:
    with own_redis(request.param) as server:
        yield server


@pytest.fixture
async def admin(server: OwnRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as admin:
        yield admin


class Watched:
    """A wire that writes down what it is pushed, with the replies between."""

    def __init__(self, redis: Redis) -> None:
        self.seen: list[Any] = []
        self.pushed = asyncio.Event()
        self.wire = Wire(
            dial_like(redis),
            name="test",
            scripts=scripts.BY_SHA,
            rng=random.Random(1),
            on_push=self._push,
            on_gap=lambda: self.seen.append("gap"),
        )

    def _push(self, push: list[Any]) -> None:
        self.seen.append(push)
        self.pushed.set()

    async def ask(self, *command: str | bytes | float, within: float = 5) -> Any:  # noqa: ANN401
        commands: list[Command] = [command]
        replies = await self.wire.ask(commands, within=within, then=lambda replies, _order: replies)
        return replies[0]

    async def told(self) -> None:
        await until(self.pushed)
        self.pushed.clear()


@pytest.fixture
async def watch() -> AsyncIterator[Callable[..., Awaitable[Watched]]]:
    async with AsyncExitStack() as stack:

        async def make(url: str, **options: Any) -> Watched:  # noqa: ANN401  those of `connect`
            options = {"connect_timeout": 2, "socket_timeout": 2} | options
            watched = Watched(await stack.enter_async_context(connect(url, **options)))
            stack.push_async_callback(watched.wire.close)
            return watched

        yield make


Watch = Callable[..., Awaitable[Watched]]


async def test_it_uses_the_database_that_the_url_names(server: OwnRedis, admin: Redis, watch: Watch) -> None:
    one = await watch(f"{server.url}?db=3")
    await one.ask("SET", "a", 1)
    assert await admin.get("a") is None
    await admin.select(3)
    assert await admin.get("a") == b"1"


async def test_it_says_user_and_password(server: OwnRedis, admin: Redis, watch: Watch) -> None:
    await admin.acl_setuser("worker", enabled=True, passwords=["+p4ss"], keys="*", commands=["+@all"])
    path = server.url.removeprefix("unix://")
    one = await watch(f"unix://worker:p4ss@{path}")
    assert await one.ask("ACL", "WHOAMI") == b"worker"
    with pytest.raises(NotConnected, match="WRONGPASS"):
        await (await watch(f"unix://worker:wrong@{path}")).ask("PING")


async def test_a_password_given_beside_the_url_counts(server: OwnRedis, admin: Redis, watch: Watch) -> None:
    await admin.config_set("requirepass", "s3cret")
    assert await (await watch(server.url, password="s3cret")).ask("PING") == b"PONG"
    with pytest.raises(NotConnected, match=r"NOAUTH|WRONGPASS"):
        await (await watch(server.url)).ask("PING")


@asynccontextmanager
async def tls_before(server: OwnRedis) -> AsyncIterator[int]:
    """The port of a door that speaks TLS and leads to this Redis."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_unix_connection(server.url.removeprefix("unix://"))
        await asyncio.gather(carry(reader, inner[1]), carry(inner[0], writer), return_exceptions=True)

    door = await asyncio.start_server(let_in, "127.0.0.1", 0, ssl=context)
    try:
        yield door.sockets[0].getsockname()[1]
    finally:
        door.close()


async def test_it_speaks_tls_and_checks_who_answers(server: OwnRedis, watch: Watch) -> None:
    async with tls_before(server) as port:
        one = await watch(f"rediss://localhost:{port}/2?ssl_ca_certs={TLS / 'localhost.crt'}")
        await one.ask("SET", "a", LONG)
        assert await one.ask("GET", "a") == LONG.encode()
        with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
            await (await watch(f"rediss://localhost:{port}")).ask("PING")
        await one.wire.close()


async def test_only_what_was_read_is_told_of(server: OwnRedis, admin: Redis, watch: Watch) -> None:
    one = await watch(server.url)
    await one.ask("SET", "quiet", 0)
    await one.ask("GET", "a")
    await admin.set("quiet", 1)
    await admin.set("a", 1)
    await one.told()
    assert one.seen == [[b"invalidate", [b"a"]]]
    await one.ask("GET", "a")
    await admin.flushall()
    await one.told()
    assert one.seen[1:] == [[b"invalidate", None]]


@pytest.mark.parametrize("script", ["read", "scope", "fill", "give back"])
async def test_a_script_that_writes_and_reads_its_key_keeps_it_tracked(
    server: OwnRedis, admin: Redis, watch: Watch, script: str
) -> None:
    one = await watch(server.url)
    read = read_call("k", Question("k", lease=b"token"), lease=10)
    if script == "scope":
        await one.ask(*scripts.call(scripts.SCOPE, "k", b"", 0))
    else:
        ((generation, *_),) = await one.wire.ask([read], within=5, then=lambda replies, _order: replies)
        if script == "fill":
            fill = scripts.call(scripts.FILL, "k", generation, b"", b"stamp", b"value", 10_000)
            assert await one.ask(*fill) == b"filled"
        if script == "give back":
            assert await one.ask(*scripts.call(scripts.GIVE_BACK, "k", b"token", "why")) == 1
    assert one.seen == []
    await admin.delete("k")
    await one.told()
    assert one.seen == [[b"invalidate", [b"k"]]]


async def test_scripts_that_redis_forgot_are_said_again(server: OwnRedis, admin: Redis, watch: Watch) -> None:
    one = await watch(server.url)
    for _ in range(2):
        assert await one.ask(*scripts.call(scripts.INVALIDATE, "k", 1000, 0)) == 0
        await admin.script_flush()


async def test_a_killed_connection_is_made_anew(server: OwnRedis, admin: Redis, watch: Watch) -> None:
    one = await watch(server.url)
    number = await one.ask("CLIENT", "ID")
    await admin.client_kill_filter(_id=number)
    await eventually(lambda: one.wire.epoch)
    assert await one.ask("CLIENT", "ID") != number
    assert one.seen == ["gap", "gap"]


async def test_a_frozen_redis_makes_late_what_was_asked_and_answers_the_rest_when_it_thaws(
    server: OwnRedis, watch: Watch
) -> None:
    one = await watch(server.url)
    await one.ask("SET", "a", 1)
    server.freeze()
    with pytest.raises(Late):
        await one.ask("GET", "a", within=0.02)
    waiting = asyncio.create_task(one.ask("ECHO", "still here"))
    await asyncio.sleep(0)
    server.thaw()
    assert await waiting == b"still here"
    assert one.seen == []


async def test_a_redis_frozen_for_long_breaks_the_link_which_comes_back(
    server: OwnRedis, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayz.cache.wire.link.PING_AFTER", 0.05)
    monkeypatch.setattr("gatewayz.cache.wire.link.DEAD_AFTER", 0.1)
    one = await watch(server.url)
    await one.ask("PING")
    server.freeze()
    with pytest.raises(LinkLost):
        await one.ask("GET", "a")
    server.thaw()
    assert await one.ask("PING") == b"PONG"


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1, "b": 1, "whole": 1, LONG: 1}
    return source


@pytest.fixture
async def worker(server: OwnRedis, source: Source) -> AsyncIterator[Callable[[], Cache]]:
    """Makes caches that share a Redis and no bus: what one hears of another, it hears from Redis."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(server.url))
        clock = FakeClock()

        def make() -> Cache:
            cache = local_cache(source, clock, redis=redis)
            stack.push_async_callback(cache.close)
            return cache

        yield make


Worker = Callable[[], Cache]


async def gone(cache: Cache, entity: Entity[str, Thing], key: str) -> None:
    await eventually(lambda: cache.peek(entity, key) is None)


@pytest.mark.parametrize("whole_entity", [False, True])
async def test_an_invalidation_reaches_the_memory_of_others_through_redis(
    worker: Worker, source: Source, *, whole_entity: bool
) -> None:
    one, two = worker(), worker()
    for version in range(2, 20):
        for cache in (one, two):
            await cache.get(STRICT, "a")
            await cache.get(STRICT, "b")
        source.rows["a"] = version
        await (one.invalidate(STRICT) if whole_entity else one.invalidate(STRICT, "a"))
        await gone(two, STRICT, "a")
        assert (two.peek(STRICT, "b") is None) == whole_entity
        assert await two.get(STRICT, "a") == Thing("a", version)


async def test_a_key_too_long_for_redis_is_invalidated_too(worker: Worker, source: Source) -> None:
    one, two = worker(), worker()
    key = "k" * 300
    source.rows[key] = 1
    await one.get(STRICT, key)
    await two.get(STRICT, key)
    await one.invalidate(STRICT, key)
    await gone(two, STRICT, key)


async def test_a_value_that_another_worker_replaced_is_fetched_before_it_is_asked_for(
    worker: Worker, source: Source
) -> None:
    one, two = worker(), worker()
    await one.get(LENIENT, "a")
    assert await two.get(LENIENT, "a") == Thing("a", 1)
    told = asyncio.Event()
    two.on_invalidated(LENIENT, told.set)
    source.rows["a"] = 2
    assert await one.refresh(LENIENT, "a") == Thing("a", 2)
    await until(told)
    await eventually(lambda: two.peek(LENIENT, "a") == Thing("a", 2))
    assert source.loads == ["a", "a"]


async def test_a_flush_empties_every_memory(worker: Worker, admin: Redis, source: Source) -> None:
    one, two = worker(), worker()
    for cache in (one, two):
        await cache.get(STRICT, "a")
        await cache.get(WHOLE)
    source.rows |= {"a": 2, "whole": 2}
    await admin.flushall()
    for cache in (one, two):
        await gone(cache, STRICT, "a")
        assert cache.peek(WHOLE) is None
        assert await cache.get(STRICT, "a") == Thing("a", 2)
        assert await cache.get(WHOLE) == Thing("whole", 2)


async def test_a_cut_connection_makes_memory_ask_again(worker: Worker, admin: Redis, source: Source) -> None:
    one, two = worker(), worker()
    await two.get(STRICT, "a")
    await two.get(LENIENT, "a")
    await admin.client_kill_filter(_type="normal", skipme=True)
    await gone(two, STRICT, "a")
    assert two.peek(LENIENT, "a") is None
    source.rows["a"] = 2
    await one.invalidate(STRICT, "a")
    assert await two.get(STRICT, "a") == Thing("a", 2)


@pytest.mark.parametrize("entity", [STRICT, LENIENT])
async def test_a_value_above_64_kb_goes_over_a_connection_of_its_own_and_is_told_of_all_the_same(
    worker: Worker, admin: Redis, source: Source, entity: Entity[str, Thing]
) -> None:  # fmt: skip
    one, two = worker(), worker()
    assert await one.get(entity, LONG) == Thing(LONG, 1)
    assert await two.get(entity, LONG) == Thing(LONG, 1)
    assert source.loads == [LONG]
    names = {client["name"] for client in await admin.client_list()}
    assert {"gatewayz-cache", "gatewayz-cache-bulk"} <= names
    assert one.peek(entity, LONG) == two.peek(entity, LONG) == Thing(LONG, 1)
    source.rows[LONG] = 2
    for writer, reader in ((one, two), (two, one)):
        await writer.invalidate(entity, LONG)
        await gone(reader, entity, LONG)
        assert await reader.get(entity, LONG) == Thing(LONG, 2)
    assert one.stats().l2_errors == two.stats().l2_errors == {}


async def test_scripts_flushed_under_a_working_cache_change_nothing(
    worker: Worker, admin: Redis, source: Source
) -> None:
    one, two = worker(), worker()
    for version in range(2, 8):
        await admin.script_flush()
        assert await one.get(STRICT, "a") == await two.get(STRICT, "a")
        source.rows["a"] = version
        await admin.script_flush()
        assert (await one.invalidate(STRICT, "a")).everywhere
        assert await two.get(STRICT, "a") == Thing("a", version)
    assert one.stats().l2_errors == two.stats().l2_errors == {}
