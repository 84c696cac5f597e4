"""From journals into the database: batches, faults of the database, dead workers' files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.credits_world import CreditsWorld, credits_world

from gatewayz.core.errors import Unavailable
from gatewayz.core.supervision import background
from gatewayz.credits.charging import charging
from gatewayz.credits.journal import Journal, record_of
from gatewayz.credits.model import Charge
from gatewayz.credits.settlement import Settled, Settlement
from gatewayz.credits.settler import Settler

_LOOK_AGAIN = 0.005


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[CreditsWorld]:
    async with credits_world(migrated_database_url, settle_every=0.01, settle_most=4) as world:
        yield world


class Busy(Settlement):
    """Has another charge to settle each time it is done with one, until there were enough. `at`: when it was called."""

    def __init__(self, world: CreditsWorld, write: Callable[[], None], charges: int) -> None:
        super().__init__(world.database)
        self.write = write
        self.left = charges
        self.at: list[float] = []

    async def settle(self, charges: Sequence[Charge]) -> Settled:
        self.at.append(asyncio.get_running_loop().time())
        if self.left:
            self.left -= 1
            self.write()
        return await super().settle(charges)


class Failing(Settlement):
    """Fails so often, then does it."""

    def __init__(self, world: CreditsWorld, failures: int) -> None:
        super().__init__(world.database)
        self.failures = failures

    async def settle(self, charges: Sequence[Charge]) -> Settled:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the database does not answer")
        return await super().settle(charges)


async def count(world: CreditsWorld) -> int:
    return int(await world.database.fetch_value("SELECT count(*) FROM charges"))


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_what_comes_in_one_pause_is_settled_together_however_busy_it_is(
    world: CreditsWorld, tmp_path: Path
) -> None:
    account = await world.account(purchased=1000)
    journal = Journal(tmp_path)
    busy = Busy(world, lambda: journal.write(world.charge(account, cost=1)), charges=5)
    settler = Settler(tmp_path, busy, world.config)
    journal.write(world.charge(account, cost=1))
    async with background({"settle": (lambda: settler.follow(journal), 1.0)}), asyncio.timeout(20):
        while await count(world) < 6:  # noqa: ASYNC110  the settler does it
            await asyncio.sleep(_LOOK_AGAIN)
    assert all(later - earlier >= world.config.settle_every for earlier, later in pairwise(busy.at))


async def test_what_is_journalled_is_settled_in_batches_while_more_comes(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account(purchased=1000)
    settler, journal = Settler(tmp_path, world.settlement, world.config), Journal(tmp_path)
    async with background({"settle": (lambda: settler.follow(journal), 1.0)}):
        for _ in range(10):
            for _ in range(3):
                journal.write(world.charge(account, cost=1))
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while journal.unsettled_bytes:  # noqa: ASYNC110  the settler does it
                await asyncio.sleep(_LOOK_AGAIN)
    assert (await count(world), settler.settled) == (30, 30)
    assert (await world.balance(account)).purchased == 970
    journal.close()
    assert files(tmp_path) == []


async def test_with_the_database_away_charges_wait_on_disk(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account(purchased=10)
    settler, journal = Settler(tmp_path, Failing(world, 2), world.config), Journal(tmp_path)
    journal.write(world.charge(account, cost=1))
    async with background({"settle": (lambda: settler.follow(journal), 1.0)}), asyncio.timeout(20):
        while journal.unsettled_bytes:  # noqa: ASYNC110  the settler does it
            await asyncio.sleep(_LOOK_AGAIN)
    assert (await world.balance(account)).purchased == 9


async def test_a_worker_that_leaves_settles_what_it_has(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account(purchased=10)
    async with charging(tmp_path, world.settlement, world.config) as own:
        for _ in range(6):
            own.journal.write(world.charge(account, cost=1))
    assert (await world.balance(account)).purchased == 4
    async with charging(tmp_path, Failing(world, 1), world.config) as own:
        own.journal.write(world.charge(account, cost=1))
    assert (await world.balance(account)).purchased == 4
    assert await Settler(tmp_path, world.settlement, world.config).adopt() == 1
    assert (await world.balance(account)).purchased == 3


async def test_journals_of_the_dead_are_settled_by_one_of_those_who_look(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account(purchased=100)
    for name in ("one", "two", "three"):
        charges = [world.charge(account, cost=1) for _ in range(6)]
        # A part had been settled before its worker died.
        await world.settlement.settle(charges[:2])
        cut = record_of(world.charge(account, cost=50))[:-9]
        (tmp_path / f"{name}.journal").write_bytes(b"".join(map(record_of, charges)) + cut)
    settlers = [Settler(tmp_path, world.settlement, world.config) for _ in range(4)]
    assert sum(await asyncio.gather(*(settler.adopt() for settler in settlers))) == 3
    assert (await world.balance(account)).purchased == 82
    assert await count(world) == 18
    assert files(tmp_path) == []
    assert await world.drifts() == []


async def test_one_charge_that_the_database_refuses_keeps_back_no_other(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account(purchased=100)
    settler, journal = Settler(tmp_path, world.settlement, world.config), Journal(tmp_path)
    for model in ("a/m", "a/\x00", "a/m", "a/m", "a/m"):
        journal.write(world.charge(account, cost=1, model=model))
    await settler.drain(journal)
    assert (await count(world), settler.refused) == (4, 1)
    assert b"a/\\u0000" in (tmp_path / "refused.jsonl").read_bytes()
