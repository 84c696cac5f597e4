"""A process that asks for admission again and again, and writes down what it was told. SIGTERM ends it."""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.clock import SystemClock
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.limit import Limit
from gatewayz.core.money import NanoUsd
from gatewayz.limits import scripts
from gatewayz.limits.admission import Admission
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.model import Admitted, Ask, Refused
from gatewayz.limits.shared import SharedLimits

_RENEW_EVERY = 0.2


class Orders(Struct, frozen=True):
    """`runs_for`: seconds that a request runs at most. `tries`: how often each client asks, 0: until the end."""

    url: str
    log: str
    name: str
    limits: tuple[Limit, ...]
    clients: int
    lease: float
    runs_for: float = 0.0
    tries: int = 0


class Let(Struct, frozen=True, tag="let"):
    """In at `at`, and over at `until`, in microseconds of the machine's clock."""

    at: int
    until: int | None


class Kept(Struct, frozen=True, tag="kept"):
    """Refused between these moments."""

    after: int
    before: int


Line = Let | Kept


def now() -> int:
    return time.time_ns() // 1000


async def _client(admission: Admission, orders: Orders, number: int, file: int, rng: random.Random) -> None:
    tries = 0
    while not orders.tries or tries < orders.tries:
        tries += 1
        ask = Ask(
            request=f"{orders.name}-{number}-{tries}",
            account_id=AccountId(1),
            key_id=ApiKeyId("key_1"),
            limits=orders.limits,
        )
        after = now()
        outcome = await admission.admit(ask)
        if isinstance(outcome, Refused):
            assert not outcome.is_local
            _note(file, Kept(after, now()))
            await asyncio.sleep(rng.uniform(0, 0.1))
            continue
        assert isinstance(outcome, Admitted)
        assert not outcome.is_local
        if orders.runs_for:
            _note(file, Let(outcome.at, None))
            await asyncio.sleep(rng.uniform(0, orders.runs_for))
        until = now()
        admission.settle(outcome, tokens=0, cost=NanoUsd(0))
        _note(file, Let(outcome.at, until))


def _note(file: int, line: Line) -> None:
    os.write(file, msgspec.json.encode(line) + b"\n")


async def main(orders: Orders) -> None:
    rng = random.Random(orders.name)
    file = os.open(orders.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    async with Redis.from_url(orders.url) as redis:
        running = RedisScripts(redis, scripts.ALL, clock=SystemClock(), rng=rng)
        local = LocalLimits(SystemClock(), share=1, lease=orders.lease)
        admission = Admission(SharedLimits(running, prefix="l:", lease=orders.lease, within=30), local)

        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEW_EVERY)
                await admission.renew()

        clients = [
            asyncio.create_task(_client(admission, orders, number, file, rng)) for number in range(orders.clients)
        ]
        renewing = asyncio.create_task(renew())
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        stopping = asyncio.create_task(over.wait())
        while not over.is_set() and not all(client.done() for client in clients):
            await asyncio.wait({stopping, *clients}, return_when=asyncio.FIRST_COMPLETED)
            for client in [each for each in clients if each.done()]:
                client.result()
                clients.remove(client)
        for task in (*clients, renewing, stopping):
            task.cancel()
        await running.close()


def recorded(paths: list[Path]) -> list[Line]:
    decoder = msgspec.json.Decoder(Line)
    return [decoder.decode(line) for path in paths for line in path.read_bytes().splitlines()]


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Orders)))
