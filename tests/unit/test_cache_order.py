"""Replies and changes in one stream: what was read before a change that is told next must not be served after it."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.cache_world import LENIENT, STRICT, Source, Thing, eventually, local_cache
from tests.support.fake_clock import FakeClock
from tests.support.scripted_redis import ScriptedRedis, scripted_redis, usual

from gatewayz.cache import scripts
from gatewayz.cache.cache import Cache
from gatewayz.cache.codec import Envelope, Life, sealed
from gatewayz.cache.connection import connect
from gatewayz.cache.entity import Entity

NAMES = {
    scripts.call(script, "")[1]: name
    for name, script in {"read": scripts.READ, "scope": scripts.SCOPE, "fill": scripts.FILL}.items()
}


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


class Shared:
    """A Redis with one value, which tells of a change right `before` or `after` the reply to one script."""

    def __init__(self, server: ScriptedRedis, clock: FakeClock) -> None:
        self.changes: dict[str, str] = {}
        self.key = b""
        self.has_value = True
        self.version = 1
        now = clock.now()
        self.life = Life(now, now + 1000, now + 1000, now + 5000)
        server.answer = self.answer

    def answer(self, command: list[bytes]) -> bytes | None:
        if command[0] != b"EVALSHA":
            return usual(command)
        name = NAMES[command[1].decode()]
        if name != "scope":
            self.key = command[3]
        moment = self.changes.pop(name, "never")
        self.version += moment == "before"
        reply = self.reply(name)
        self.version += moment == "after"
        push = b">2\r\n" + bulk(b"invalidate") + b"*1\r\n" + bulk(self.key)
        return {"never": reply, "before": push + reply, "after": reply + push}[moment]

    def reply(self, name: str) -> bytes:
        if name == "scope":
            return bulk(b"7|0|0")
        if name == "fill":
            return bulk(b"filled")
        thing = msgspec.msgpack.encode(Thing("a", self.version))
        if not self.has_value:
            return b"*8\r\n" + bulk(b"1") + bulk(b"") + b":0\r\n:0\r\n" + bulk(b"5") + bulk(b"0") + bulk(b"") * 2
        value = sealed(Envelope(self.life, False, thing))
        return bulk(b"1 7:stamp%d v %b" % (self.version, value))


@pytest.fixture
def source() -> Source:
    source = Source()
    source.rows = {"a": 1}
    return source


@pytest.fixture
async def server() -> AsyncIterator[ScriptedRedis]:
    async with scripted_redis() as server:
        yield server


@pytest.fixture
async def cache(server: ScriptedRedis, source: Source, clock: FakeClock) -> AsyncIterator[Cache]:
    async with connect(f"unix://{server.socket}", connect_timeout=2) as redis:
        cache = local_cache(source, clock, redis=redis)
        yield cache
        await cache.close()


@pytest.mark.parametrize("entity", [STRICT, LENIENT])
@pytest.mark.parametrize("knows_generation", [False, True])
@pytest.mark.parametrize(("moment", "versions"), [("never", {1}), ("before", {2}), ("after", {None, 2})])
async def test_a_value_read_before_a_change_leaves_memory_with_it(
    cache: Cache,
    server: ScriptedRedis,
    clock: FakeClock,
    *,
    entity: Entity[str, Thing],
    moment: str,
    versions: set[int | None],
    knows_generation: bool,
) -> None:
    shared = Shared(server, clock)
    if knows_generation:
        await cache.get(entity, "other")
    shared.changes["read"] = moment
    await cache.get(entity, "a")
    held = cache.peek(entity, "a")
    assert (held.version if held is not None else None) in versions


@pytest.mark.parametrize(("moment", "is_kept"), [("never", True), ("before", True), ("after", False)])
async def test_a_value_filled_before_a_change_does_not_outlive_it(
    cache: Cache, server: ScriptedRedis, clock: FakeClock, source: Source, moment: str, *, is_kept: bool
) -> None:
    shared = Shared(server, clock)
    shared.has_value = False
    shared.changes["fill"] = moment
    await cache.get(STRICT, "a")
    assert source.loads == (["a"] if is_kept else ["a", "a"]), "who joined the load after the change gets a newer value"
    if is_kept:
        assert cache.peek(STRICT, "a") == Thing("a", 1)


async def test_a_change_told_while_a_value_is_asked_for_does_not_keep_the_newer_one_out(
    cache: Cache, server: ScriptedRedis, clock: FakeClock
) -> None:
    shared = Shared(server, clock)
    await cache.get(LENIENT, "a")
    shared.changes["read"] = "before"
    clock.advance(61)
    await cache.get(LENIENT, "a")
    await eventually(lambda: cache.peek(LENIENT, "a") == Thing("a", 2))
