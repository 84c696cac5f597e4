"""What callers of four workers notice of a cheapest provider that fails: only the time it takes to be seen."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import aiohttp
from msgspec import Struct
from msgspec.structs import replace
from tests.support.fake_upstream import FakeUpstream

from benchmarks.load.lab import Installed, Lab, made_key, sync
from benchmarks.load.servers import Server, gateway
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure

WORKERS = 4
AT_ONCE = 16
MODEL = "acme/rocket-1"
READ_TIMEOUT = 2.0
FAULTS = {"answers 429": "429", "answers 500": "500", "resets the connection": "breaks", "is silent": "silent"}
_LEAST = Bar("≥ 99.9%", lambda ours, _: ours >= 99.9)


class Asked(Struct):
    """Of all requests under one fault: how many were answered, their seconds, and how many the failing one saw."""

    answered: int
    seconds: list[float]
    seen: int


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    count = options.failovers // len(FAULTS)
    found = asyncio.run(_measured(lab, count, tell))
    well = found.pop("is well")
    p99_well = _p99(well)
    for fault, asked in found.items():
        yield Figure(
            name=f"requests answered while the cheapest provider {fault}, of {count:,}",
            unit="%",
            ours=100 * asked.answered / count,
            bar=_LEAST,
        )
        yield Figure(
            name=f"p99 added while the cheapest provider {fault}",
            unit="ms",
            ours=max(0.0, _p99(asked) - p99_well),
            bar=Bar.at_most(1000 * READ_TIMEOUT, "ms"),
        )
        yield Figure(
            name=f"of {count:,} requests, those that the provider saw that {fault}", unit="requests", ours=asked.seen
        )


async def _measured(lab: Lab, count: int, tell: Tell) -> dict[str, Asked]:
    async with FakeUpstream().running() as upstream, AsyncExitStack() as stack:
        found = {}
        for fault, behaviour in {"is well": "answers", **FAULTS}.items():
            tell(f"{count:,} requests while the cheapest provider {fault}")
            upstream.reset()
            upstream.behaviours = {"acme": behaviour, "beta": "answers"}
            installed = _installed(lab, behaviour, upstream)
            # In a thread: the provider is served here meanwhile.
            server = await asyncio.to_thread(stack.enter_context, gateway(installed, workers=WORKERS))
            key = await asyncio.to_thread(_made_key, installed)
            answered, seconds = await _ask(server, key, count)
            seen = sum(each.headers["Authorization"] == "Bearer sk-acme" for each in upstream.asked)
            found[fault] = Asked(answered, seconds, seen)
        return found


async def _ask(server: Server, key: str, count: int) -> tuple[int, list[float]]:
    host, port = server.address
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    numbers, seconds, answered = iter(range(count)), [], 0

    async def caller(client: aiohttp.ClientSession) -> None:
        nonlocal answered
        for number in numbers:
            body = json.dumps({**asked, "seed": number})  # none is answered from the cache
            began = time.perf_counter()
            async with client.post(f"http://{host}:{port}/v1/chat/completions", data=body, headers=headers) as said:
                read = await said.read()
                answered += said.status == 200 and b"Hello" in read
            seconds.append(time.perf_counter() - began)

    async with aiohttp.ClientSession() as client:
        await asyncio.gather(*(caller(client) for _ in range(AT_ONCE)))
    return answered, seconds


def _installed(lab: Lab, name: str, upstream: FakeUpstream) -> Installed:
    installed = lab.empty(f"failover-{name}")
    own = {"GATEWAYZ_CACHE__WARM_ON_STARTUP": "true"}
    for slug in ("acme", "beta"):
        prefix = f"GATEWAYZ_PROVIDERS__{slug.upper()}__"
        own |= {
            f"{prefix}BASE_URL": upstream.base_url(slug),
            f"{prefix}API_KEY": f"sk-{slug}",
            f"{prefix}MODELS": MODEL,
            f"{prefix}READ_TIMEOUT": str(READ_TIMEOUT),
        }
    return replace(installed, environment={**installed.environment, **own})


def _made_key(installed: Installed) -> str:
    """Lists that settings give are synced first: they are what the providers offer."""
    sync(installed, "acme", "beta")
    return made_key(installed, "--credits", "100", "--unknown-prices")


def _p99(asked: Asked) -> float:
    return 1000 * sorted(asked.seconds)[int(len(asked.seconds) * 0.99)]
