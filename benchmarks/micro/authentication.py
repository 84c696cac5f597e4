"""What it costs to know who asks: microseconds of CPU for a request with a warm key, and for one that is refused.

    python -m benchmarks.micro.authentication

Starts servers of its own in a temporary directory. The parts of a warm one are measured apart as well.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.micro.row_changes import installed

from gatewayz.accounts.digest import KeyDigester, pepper_from
from gatewayz.accounts.repository import API_KEY
from gatewayz.api.callers import Callers
from gatewayz.api.client_address import ClientAddresses
from gatewayz.app import Parts, assembled
from gatewayz.core.errors import GatewayzError
from gatewayz.settings import Settings

ROUNDS = 20_000
REPEATS = 7


def best(measure: Callable[[], float]) -> float:
    """Microseconds of CPU each, of the best of the repeats."""
    return 1e6 * min(measure() for _ in range(REPEATS)) / ROUNDS


def repeated(work: Callable[[], object]) -> Callable[[], float]:
    def measure() -> float:
        began = time.process_time()
        for _ in range(ROUNDS):
            work()
        return time.process_time() - began

    return measure


def run_at_once(coroutine: Awaitable[object]) -> None:
    """A coroutine that waits for nothing, run without an event loop's help."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    except GatewayzError:
        return
    raise AssertionError("it waited")


async def main() -> None:
    async with installed() as settings, assembled(settings) as parts:
        await _costs(parts, settings)


async def _costs(parts: Parts, settings: Settings) -> None:
    secret = (await parts.keys.create(name="n", account="a", networks=["127.0.0.0/8"])).secret
    plain = (await parts.keys.create(name="n", account="a")).secret
    door = parts.authentication
    for each in (secret, plain):
        await door.authenticate(each, "inference", lambda: "127.0.0.1")
    digester = KeyDigester(pepper_from(None, settings.data_dir))
    digest = digester.digest(plain)
    callers = Callers(door, ClientAddresses())
    request = {
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {plain}".encode()), (b"accept", b"*/*")],
        "client": ("127.0.0.1", 1234),
    }
    for name, work in (
        ("nothing", lambda: None),
        ("the digest", lambda: digester.digest(plain)),
        ("the look-up in memory", lambda: parts.cache.peek(API_KEY, digest)),
        ("a warm key", lambda: run_at_once(door.authenticate(plain, "inference", lambda: "127.0.0.1"))),
        ("a warm key with networks", lambda: run_at_once(door.authenticate(secret, "inference", lambda: "127.0.0.1"))),
        ("a warm key, from the request's headers", lambda: run_at_once(callers.caller(request, "inference"))),
        ("a made-up key in our form", lambda: run_at_once(door.authenticate(f"gw_live_{'A' * 49}"))),
    ):
        print(f"{name:40} {best(repeated(work)):6.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
