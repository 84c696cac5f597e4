"""What it costs to let a request in: microseconds of this process's CPU for each, beside a request that asks nobody.

    python -m benchmarks --only admission        # or, for a table: python -m benchmarks.micro.admission

A real worker's parts over servers of its own: the key is looked up in memory, its two limits are counted and its hold
is taken by one script in Redis, its charge is written to the journal and settled. One caller at a time, and many.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal

import uvloop
from benchmarks.load.lab import Lab
from benchmarks.micro.row_changes import installed
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure

from gatewayz.accounts.model import Principal
from gatewayz.api.callers import Callers
from gatewayz.api.client_address import ClientAddresses
from gatewayz.app import assembled
from gatewayz.catalog.model import Offer, Pricing
from gatewayz.core.money import nano_usd
from gatewayz.inference.estimate import Estimate
from gatewayz.inference.metering import Usage
from gatewayz.inference.turnstile import Wanted
from gatewayz.paying import Paying, paying

OPERATIONS = 4_000
CALLERS = (1, 16, 64)
ROUNDS = 7
NOTHING, KNOWN, LIMITED, PAID = (
    "a request that asks nobody",
    "known by its key",
    "… and under two limits",
    "… and paid: hold, journal, settled",
)
BAR = Bar.at_most(40, "µs")
"""Of authentication and admission together."""
OFFER = Offer(
    id="acme/rocket",
    provider="acme",
    native_id="rocket",
    unique_id="acme/rocket",
    name="Rocket",
    pricing=Pricing(prompt=Decimal("0.00000001"), completion=Decimal("0.00000002")),
)
ESTIMATE = Estimate(prompt_bound=200, likely_prompt=50, output=100, likely=150)
USED = Usage(prompt=40, completion=60)

Work = Callable[[], Awaitable[object]]


async def cost(work: Work, callers: int) -> float:
    async def caller() -> None:
        for _ in range(OPERATIONS // callers):
            await work()

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.process_time() - began) / (OPERATIONS // callers * callers) * 1e6


Found = Mapping[str, list[list[float]]]
"""Of each way, by the number of callers: what each round found, above what a request that asks nobody costs."""


def run(_lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    tell("each way with 1, 16 and 64 callers")
    found = uvloop.run(measured(options.rounds))
    for name, way in (("known by its key", KNOWN), ("known, limited and paid for", PAID)):
        for callers, rounds in zip(CALLERS, found[way], strict=True):
            yield Figure.of_rounds(f"a request {name}, {callers} callers", "µs of CPU", rounds, BAR)


async def measured(rounds: int) -> Found:
    async with installed() as settings, assembled(settings) as parts, paying(parts) as pay:
        limits = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12}
        limited = await parts.keys.create(name="n", account="a", credits=nano_usd(Decimal(1000)), limits=limits)
        free = await parts.keys.create(name="n", account="a")
        callers = Callers(parts.authentication, ClientAddresses())
        found = {each: _request(each) for each in (limited.secret, free.secret)}
        ways = _ways(callers, pay, found[limited.secret], found[free.secret])
        for work in ways.values():
            await work()
        return await _measured(ways, rounds)


def _request(secret: str) -> dict[str, object]:
    return {
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {secret}".encode()), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 1234),
    }


def _ways(callers: Callers, pay: Paying, limited: dict[str, object], free: dict[str, object]) -> dict[str, Work]:
    numbers = itertools.count()

    async def nothing() -> None:
        await asyncio.sleep(0)

    async def known() -> None:
        await asyncio.sleep(0)
        await callers.caller(free, "inference")

    async def let_in(request: dict[str, object], offers: tuple[Offer, ...]) -> None:
        await asyncio.sleep(0)
        caller: Principal = await callers.caller(request, "inference")
        wanted = Wanted(
            caller=caller,
            generation=f"gen_{next(numbers)}_{time.monotonic_ns()}",
            model="acme/rocket",
            offers=offers,
            estimate=ESTIMATE,
            is_streaming=False,
        )
        async with pay.turnstile.passed(wanted) as passed:
            if offers:
                passed.served(OFFER, USED)

    return {
        NOTHING: nothing,
        KNOWN: known,
        LIMITED: lambda: let_in(limited, ()),
        PAID: lambda: let_in(limited, (OFFER,)),
    }


async def _measured(ways: Mapping[str, Work], rounds: int) -> Found:
    found: dict[str, list[list[float]]] = {name: [[] for _ in CALLERS] for name in ways}
    for _ in range(rounds):
        for index, callers in enumerate(CALLERS):
            nothing = await cost(ways[NOTHING], callers)
            for name, work in ways.items():
                found[name][index].append(await cost(work, callers) - nothing)
    return found


def main() -> None:
    found = uvloop.run(measured(ROUNDS))
    print(f"{'µs of CPU each, beside the first':40}" + "".join(f"{callers:>8} callers" for callers in CALLERS))
    for name, row in found.items():
        print(f"{name:40}" + "".join(f"{statistics.median(rounds):16.1f}" for rounds in row))


if __name__ == "__main__":
    main()
