"""What a charge costs: on its request's path, and from the journal into the ledger.

    python -m benchmarks.micro.settlement

Starts a PostgreSQL of its own in a temporary directory and prints the best of several rounds for CPU, and medians for
rates. Settlement runs in this process; its PostgreSQL has the same machine to itself.
"""

import asyncio
import statistics
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.micro.timing import micros
from tests.support.credits_world import CreditsWorld, credits_world
from tests.support.servers import embedded_for_tests, migrated_database, short_directory

from gatewayz.catalog.model import Pricing
from gatewayz.core.ids import AccountId, TrancheId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.journal import Journal, record_of
from gatewayz.credits.model import Charge, Owner
from gatewayz.credits.pricing import Tariffs, Used, hold_for
from gatewayz.credits.settler import Settler

ROUNDS = 20_000
REPEATS = 5
CHARGES = 10_000
PRICES = Pricing(prompt=Decimal("0.0000025"), completion=Decimal("0.00001"), input_cache_read=Decimal("0.00000125"))
ROUTE = [PRICES] * 3


def on_the_path(charge: Charge) -> None:
    used = Used(prompt=1200, completion=350, cache_read=1024)
    tariffs = Tariffs()
    tariff = tariffs.of(PRICES)
    hold = micros(lambda: hold_for(map(tariffs.of, ROUTE), prompt=1200, completion=4096), ROUNDS)
    print(f"hold for a route of 3 offers     {hold:8.2f} us")
    print(f"cost of an answer                {micros(lambda: tariff.cost(used), ROUNDS):8.2f} us")
    record = micros(lambda: record_of(charge), ROUNDS)
    print(f"journal record, encoded          {record:8.2f} us, {len(record_of(charge))} bytes")
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(Path(directory))
        print(f"journal.write                    {micros(lambda: journal.write(charge), ROUNDS):8.2f} us")


async def settled(world: CreditsWorld, accounts: list[tuple[AccountId, TrancheId]], name: str) -> None:
    rates, batches = [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as directory:
            settler, journal = Settler(Path(directory), world.settlement, world.config), Journal(Path(directory))
            for number in range(CHARGES):
                account, tranche = accounts[number % len(accounts)]
                journal.write(world.charge(account, cost=100, hold=150, tranche=tranche, key="key_of_a_benchmark"))
            began, cpu = time.perf_counter(), time.process_time()
            await settler.drain(journal)
            rates.append(CHARGES / (time.perf_counter() - began))
            batches.append((time.process_time() - cpu) / CHARGES * 1e6)
    print(
        f"settled, {name:22} {statistics.median(rates):8,.0f} charges/s, {min(batches):.1f} us CPU of the worker each"
    )


async def funding(world: CreditsWorld, account: AccountId) -> None:
    times = []
    for _ in range(200):
        began = time.perf_counter()
        await world.tranches.fund(Owner(account), NanoUsd(100))
        times.append(1000 * (time.perf_counter() - began))
    times.sort()
    print(f"fund: one transaction            {times[100]:8.2f} ms p50, {times[198]:.2f} ms p99")


async def tranches(world: CreditsWorld, number: int) -> list[tuple[AccountId, TrancheId]]:
    found = []
    for _ in range(number):
        account = await world.account(purchased=10**12)
        found.append((account, (await world.tranches.fund(Owner(account), NanoUsd(10**10))).tranche))
    return found


async def main() -> None:
    with short_directory() as directory, embedded_for_tests(directory) as servers:
        async with migrated_database(servers) as url, credits_world(url) as world:
            one = await tranches(world, 1)
            on_the_path(world.charge(one[0][0], cost=100, hold=150, tranche=one[0][1], native_id="gpt-4o"))
            await settled(world, one, "1 account")
            await settled(world, await tranches(world, 50), "50 accounts")
            await settled(world, await tranches(world, 500), "500 accounts")
            await funding(world, one[0][0])
            began = time.perf_counter()
            assert await world.drifts() == []
            rows = await world.database.fetch_value("SELECT count(*) FROM charges")
            print(f"proof over {rows:,} charges       {1000 * (time.perf_counter() - began):8.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
