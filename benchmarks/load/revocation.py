"""How long a revoked key is still accepted: by four workers, revoked over HTTP, by the code of the command, by hand.

Each worker is asked again and again over a connection of its own, about 500 times a second, with a request that only
needs to be authenticated (its body is refused). A try lasts from the moment at which the revocation is sent until the
last answer, of any worker, that still accepted the key.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import msgspec
from msgspec import Struct

from benchmarks.load.lab import Lab
from benchmarks.load.process import DidNotStart
from benchmarks.load.servers import Server, gateway
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure
from gatewayz.accounts.scopes import ADMIN
from gatewayz.app import Parts, assembled
from gatewayz.embedded.servers import Servers, embedded_servers
from gatewayz.settings import Settings, database_url

WORKERS = 4
BAR_MS = 50.0
_MOST_CONNECTIONS = 200
_PAUSE = 0.002
_ACCEPTED, _REFUSED = 400, 401

Revoke = Callable[[str], Awaitable[object]]


class Asked(Struct):
    """One worker, over a connection of our own to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    worker: int = 0

    async def ask(self, method: str, path: str, key: str, body: bytes = b"") -> tuple[int, bytes]:
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)

    async def until_refused(self, key: str) -> float:
        """When the last answer came that accepted the key."""
        accepted = 0.0
        while True:
            status, said = await self.ask("POST", "/v1/chat/completions", key, b"{}")
            if status == _REFUSED:
                return accepted
            if status != _ACCEPTED:
                raise DidNotStart(f"status {status}: {said!r}")
            accepted = time.perf_counter()
            await asyncio.sleep(_PAUSE)


class Try(Struct, frozen=True):
    """Milliseconds from the sending of the revocation to the last acceptance, and to the revocation's own answer."""

    lag: float
    answered: float


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    installed = lab.empty("revocation")
    with gateway(installed, workers=WORKERS) as server:
        data_dir = installed.data_dir.absolute()
        with embedded_servers(data_dir, postgres=True, redis=True) as servers:
            settings = _settings(servers, str(data_dir))
            found = asyncio.run(_measured(server, settings, options.revocations, tell))
    for way, tries in found.items():
        lags = sorted(each.lag for each in tries)
        p50, p99 = lags[len(lags) // 2], lags[int(len(lags) * 0.99)]
        name = f"last acceptance after a revocation {way}, {WORKERS} workers"
        yield Figure(name=f"{name}, p50", unit="ms", ours=p50)
        yield Figure(name=f"{name}, p99", unit="ms", ours=p99, bar=Bar.at_most(BAR_MS, "ms"))
        late = sum(each.lag > each.answered for each in tries)
        tell(f"{way}: at most {lags[-1]:.1f} ms; {late} of {len(tries)} keys were accepted after its answer")


def _settings(servers: Servers, data_dir: str) -> Settings:
    return Settings.model_validate(
        {
            "storage": {"database_url": servers.database_url},
            "cache": {"redis_url": servers.redis_url, "warm_on_startup": False},
            "data_dir": data_dir,
        }
    )


async def _measured(server: Server, settings: Settings, count: int, tell: Tell) -> dict[str, list[Try]]:
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(assembled(settings))
        admin = await parts.keys.create(name="admin", account="bench", scopes=(ADMIN,))
        workers = await stack.enter_async_context(_one_of_each(server, admin.secret))
        other = await stack.enter_async_context(_connected(server))
        hand = await asyncpg.connect(database_url(settings))
        stack.push_async_callback(hand.close)
        by_hand = "UPDATE api_keys SET revoked_at = now() WHERE id = $1"
        ways: dict[str, Revoke] = {
            "over HTTP": lambda key_id: other.ask("DELETE", f"/admin/keys/{key_id}", admin.secret),
            "by the command": parts.keys.revoke,  # type: ignore[dict-item]  # its id's type
            "by psql": lambda key_id: hand.execute(by_hand, key_id),
        }
        found = {}
        for way, revoke in ways.items():
            tell(f"{count} keys, revoked {way}")
            found[way] = [await _one_try(parts, workers, revoke) for _ in range(count)]
        return found


async def _one_try(parts: Parts, workers: Sequence[Asked], revoke: Revoke) -> Try:
    made = await parts.keys.create(name="n", account="bench")
    asking = [asyncio.create_task(each.until_refused(made.secret)) for each in workers]
    await asyncio.sleep(random.uniform(0.02, 0.04))
    began = time.perf_counter()
    await revoke(made.record.id)
    answered = time.perf_counter()
    last = max(await asyncio.gather(*asking))
    return Try(lag=max(0.0, 1000 * (last - began)), answered=1000 * (answered - began))


@asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[Asked]:
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        yield Asked(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def _one_of_each(server: Server, admin: str) -> AsyncIterator[list[Asked]]:
    """A connection to each worker: the kernel chooses which one takes it, so as many as it takes."""
    async with AsyncExitStack() as stack:
        found: dict[int, Asked] = {}
        for _ in range(_MOST_CONNECTIONS):
            asked = await stack.enter_async_context(_connected(server))
            _, said = await asked.ask("GET", "/api/system/cache/stats", admin)
            asked.worker = msgspec.json.decode(said)["worker"]
            found.setdefault(asked.worker, asked)
            if len(found) == len(server.workers):
                yield list(found.values())
                return
        raise DidNotStart(f"of {len(server.workers)} workers only {len(found)} take connections")
