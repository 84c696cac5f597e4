"""Four workers let requests in and charge for them while they are killed, Redis is emptied and PostgreSQL is stopped:
every charge counts, and counts once.
"""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from gatewayz.app import ENTITIES
from gatewayz.core.ids import AccountId
from gatewayz.credits.charging import journals_in
from gatewayz.credits.settler import Settler
from gatewayz.embedded.servers import Servers, embedded_servers
from gatewayz.storage.migrate import migrate
from tests.chaos.paying_worker import AT_ONCE, CONFIG
from tests.chaos.run import ROOT
from tests.support.credits_world import CreditsWorld, credits_world
from tests.support.servers import embedded_for_tests, short_directory

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.chaos]

SEED = 20261127
WORKERS, KILLS = 4, 12
FLUSHES, STOPS = (1, 3, 6, 9), (4, 8)
"""After which kills Redis is emptied, and PostgreSQL stopped."""
CHARGES_BETWEEN_KILLS = 300
FIRST = 1_000_000_000
_LOOK_AGAIN = 0.02


class Fleet:
    """`killed` counts. What a worker has acknowledged stands in a file of its own."""

    def __init__(self, servers: Servers, directory: Path, accounts: list[AccountId]) -> None:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        self.data = directory / "gateway"
        self.killed = 0
        self._urls = servers.database_url, servers.redis_url
        self._directory = directory
        self._accounts = [str(account) for account in accounts]
        self._workers: list[tuple[Process, Path]] = []
        self._started = 0

    async def start_one(self) -> None:
        self._started += 1
        said = self._directory / f"{self._started}.acknowledged"
        command = (sys.executable, "-m", "tests.chaos.paying_worker", *self._urls, str(self.data), str(said))
        worker = await asyncio.create_subprocess_exec(*command, str(SEED + self._started), *self._accounts, cwd=ROOT)
        self._workers.append((worker, said))

    async def kill_one(self, rng: random.Random) -> None:
        worker, _ = self._workers.pop(rng.randrange(len(self._workers)))
        worker.kill()
        assert await worker.wait() == -signal.SIGKILL
        self.killed += 1

    async def stop(self) -> None:
        """Once all serve, as they would be told to leave."""
        async with asyncio.timeout(60):
            while not all(said.exists() and said.stat().st_size for _, said in self._workers):  # noqa: ASYNC110  likewise
                await asyncio.sleep(_LOOK_AGAIN)
        for worker, _ in self._workers:
            worker.terminate()
        assert [await worker.wait() for worker, _ in self._workers] == [0] * len(self._workers)

    def end(self) -> None:
        for worker, _ in self._workers:
            if worker.returncode is None:
                worker.kill()

    def acknowledged(self) -> dict[str, tuple[int, int]]:
        """Account and cost by id. The last line of one that was killed may be cut."""
        lines = [
            line.split()
            for path in self._directory.glob("*.acknowledged")
            for line in path.read_text().split("\n")[:-1]
        ]
        return {request: (int(account), int(cost)) for request, account, cost in lines}

    async def until_charged(self, more: int) -> None:
        wanted = len(self.acknowledged()) + more
        async with asyncio.timeout(60):
            while len(self.acknowledged()) < wanted:  # noqa: ASYNC110  it happens in other processes
                await asyncio.sleep(_LOOK_AGAIN)


@pytest.fixture
def place() -> Iterator[tuple[Servers, Path]]:
    with short_directory() as directory, embedded_for_tests(directory) as servers:
        yield servers, directory / "data"


async def test_every_charge_counts_once_through_kills_and_restarts(place: tuple[Servers, Path], tmp_path: Path) -> None:
    servers, data = place
    url, redis_url = servers.database_url, servers.redis_url
    assert url is not None
    assert redis_url is not None
    rng = random.Random(SEED)
    await migrate(url, ENTITIES)
    async with credits_world(url) as world:
        accounts = [await world.account(purchased=FIRST) for _ in range(3)]
    fleet = Fleet(servers, tmp_path, accounts)
    try:
        for _ in range(WORKERS):
            await fleet.start_one()
        for number in range(KILLS):
            await fleet.until_charged(CHARGES_BETWEEN_KILLS)
            if number in FLUSHES:
                async with Redis.from_url(redis_url) as redis:
                    await redis.flushall()
            if number in STOPS:
                _stop_postgres(data)
                await fleet.kill_one(rng)
                await fleet.start_one()
                with embedded_servers(data, postgres=True, redis=False):
                    await _until_it_answers(url)
            else:
                await fleet.kill_one(rng)
                await fleet.start_one()
        await fleet.stop()
    finally:
        fleet.end()
    async with credits_world(url) as world:
        journals = journals_in(fleet.data)
        await Settler(journals, world.settlement, CONFIG).adopt()
        assert list(journals.iterdir()) == []
        await _check(world, fleet, accounts)


async def _check(world: CreditsWorld, fleet: Fleet, accounts: list[AccountId]) -> None:
    acknowledged = fleet.acknowledged()
    rows = await world.database.fetch("SELECT request_id, account_id, cost, charged FROM charges")
    charged = {row["request_id"]: (row["account_id"], row["cost"]) for row in rows}
    assert len(acknowledged) >= KILLS * CHARGES_BETWEEN_KILLS
    assert {request: charged.get(request) for request in acknowledged} == acknowledged
    # Written down, and then killed before anybody was told: only what was in flight.
    assert len(charged) - len(acknowledged) <= fleet.killed * AT_ONCE
    assert sum(row["cost"] - row["charged"] for row in rows) == 0, "holds are upper bounds: nothing to write off"
    assert await world.drifts() == []
    for row in await world.database.fetch("SELECT id FROM tranches WHERE closed_at IS NULL"):
        await world.tranches.close(row["id"])
    assert await world.drifts() == []
    for account in accounts:
        balance = await world.balance(account)
        spent = sum(cost for owner, cost in charged.values() if owner == account)
        assert (balance.available, balance.held) == (FIRST - spent, 0)


def _stop_postgres(data: Path) -> None:
    """As a crash. The postmaster is ours: its id stands in the data directory made for this test."""
    pid_file = data / "postgres" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split("\n", 1)[0]), signal.SIGQUIT)


async def _until_it_answers(url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                connection = await asyncpg.connect(url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(_LOOK_AGAIN)
            else:
                await connection.close()
                return
