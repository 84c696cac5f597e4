"""What can go wrong, one at a time. Each fault lasts some seconds and has ended when it returns."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gatewayz.embedded.postgres import Postgres
from tests.support.own_redis import OwnRedis

_RUBBISH = 40
LOOPS_A_SECOND = 50_000_000  # of a machine that is not fast


class Fleet(Protocol):
    """What faults may touch."""

    redis: OwnRedis
    postgres: Postgres
    rng: random.Random

    async def tell_proxy(self, line: str) -> None: ...
    def pid(self, worker: int) -> int: ...
    async def doom_a_leader(self) -> None:
        """Return when a worker has died loading."""
        ...

    @property
    def size(self) -> int: ...
    def admin(self) -> Redis: ...


class Fault(Struct, frozen=True):
    """`kind`: "outage" where some worker cannot reach Redis, "database", "leader", or "worker" and "content", which
    excuse no older value and no error.
    """

    name: str
    kind: str
    happen: Callable[[Fleet, float], Awaitable[None]]


async def _frozen(fleet: Fleet, seconds: float) -> None:
    fleet.redis.freeze()
    await asyncio.sleep(seconds)
    fleet.redis.thaw()


async def _killed(fleet: Fleet, seconds: float) -> None:
    fleet.redis.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(fleet.redis.start)


async def _asleep(fleet: Fleet, seconds: float) -> None:
    async with fleet.admin() as redis:
        try:
            await redis.execute_command("DEBUG", "SLEEP", seconds)  # type: ignore[no-untyped-call]
        except ResponseError:  # forbidden by default since Redis 7: keep it busy instead
            await redis.eval("for _ = 1, ARGV[1] do end", 0, int(seconds * LOOPS_A_SECOND))


async def _flushed(fleet: Fleet, _seconds: float) -> None:
    async with fleet.admin() as redis:
        await redis.flushall()


async def _cut(fleet: Fleet, _seconds: float) -> None:
    kind = fleet.rng.choice(["normal", "pubsub"])
    async with fleet.admin() as redis:
        await redis.client_kill_filter(_type=kind)


async def _full(fleet: Fleet, seconds: float) -> None:
    async with fleet.admin() as redis:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 1)
        await asyncio.sleep(seconds)
        await redis.config_set("maxmemory", 0)


async def _wrong_types(fleet: Fleet, _seconds: float) -> None:
    async with fleet.admin() as redis:
        for _ in range(_RUBBISH):
            key = await redis.randomkey()
            if key is None:
                return
            with suppress(ResponseError):  # another kind has been put there meanwhile
                await redis.delete(key)
                if fleet.rng.random() < 0.5:
                    await redis.set(key, "rubbish")
                else:
                    await redis.zadd(key, {"rubbish": 1})


async def _corrupt(fleet: Fleet, _seconds: float) -> None:
    async with fleet.admin() as redis:
        for _ in range(_RUBBISH):
            key = await redis.randomkey()
            if key is None:
                return
            with suppress(ResponseError):  # not all keys are hashes
                field = fleet.rng.choice(["v", "v", "v", "s", "g", "f", "d", "l", "x"])
                await redis.hset(key, field, fleet.rng.randbytes(fleet.rng.choice([0, 3, 300])))


async def _worker_killed(fleet: Fleet, _seconds: float) -> None:
    os.kill(fleet.pid(fleet.rng.randrange(fleet.size)), signal.SIGKILL)


async def _worker_frozen(fleet: Fleet, seconds: float) -> None:
    pid = fleet.pid(fleet.rng.randrange(fleet.size))
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


async def _leader_killed(fleet: Fleet, _seconds: float) -> None:
    await fleet.doom_a_leader()


async def _database_restarted(fleet: Fleet, _seconds: float) -> None:
    fleet.postgres.begin_stop()
    await asyncio.to_thread(fleet.postgres.finish_stop)
    await asyncio.to_thread(fleet.postgres.launch)
    await asyncio.to_thread(fleet.postgres.wait_until_ready)


def _one_way(mode: str) -> Callable[[Fleet, float], Awaitable[None]]:
    async def happen(fleet: Fleet, seconds: float) -> None:
        direction = fleet.rng.choice(["up", "down"])
        workers = fleet.rng.sample(range(fleet.size), fleet.rng.choice([1, fleet.size]))
        for worker in workers:
            await fleet.tell_proxy(f"{worker} {direction} {mode}")
        await asyncio.sleep(seconds)
        for worker in workers:
            if mode == "swallow":  # what comes after a gap would mean something else
                await fleet.tell_proxy(f"{worker} both cut")
            await fleet.tell_proxy(f"{worker} {direction} pass")

    return happen


FAULTS = (
    Fault("Redis frozen", "outage", _frozen),
    Fault("Redis killed, back empty", "outage", _killed),
    Fault("Redis asleep", "outage", _asleep),
    Fault("Redis flushed", "content", _flushed),
    Fault("connections killed", "content", _cut),
    Fault("Redis full", "content", _full),
    Fault("values of wrong types", "content", _wrong_types),
    Fault("corrupt values", "content", _corrupt),
    Fault("one direction stalled", "outage", _one_way("stall")),
    Fault("one direction swallowed", "outage", _one_way("swallow")),
    Fault("worker killed", "worker", _worker_killed),
    Fault("worker killed while it loads", "leader", _leader_killed),
    Fault("worker frozen", "outage", _worker_frozen),
    Fault("PostgreSQL restarted", "database", _database_restarted),
)
