"""Several workers' parts on one database and one Redis, and someone who changes rows beside them all."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from gatewayz.app import ELECTION_PAUSE, Parts
from gatewayz.core.supervision import background
from gatewayz.settings import Settings, database_url
from gatewayz.worker import relay_while_elected
from tests.support.gateway import parts_of
from tests.support.patience import PATIENCE

_LOOK_AGAIN = 0.002


@asynccontextmanager
async def fleet(settings: Settings, size: int = 2) -> AsyncIterator[list[Parts]]:
    """Workers without HTTP: each has its cache, and each stands for election as the relay."""
    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(size):
            parts = await stack.enter_async_context(parts_of(settings))
            work = functools.partial(relay_while_elected, parts)
            await stack.enter_async_context(background({"relay": (work, ELECTION_PAUSE)}))
            workers.append(parts)
        yield workers


@asynccontextmanager
async def psql(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection that knows nothing of caches."""
    connection = await asyncpg.connect(database_url(settings))
    try:
        yield connection
    finally:
        await connection.close()


async def noted(connection: asyncpg.Connection) -> list[tuple[str, list[str] | None]]:
    """What the outbox holds, sorted."""
    rows = await connection.fetch("SELECT entity, keys FROM cache_outbox")
    return sorted(((row["entity"], row["keys"]) for row in rows), key=repr)


async def nothing_noted(connection: asyncpg.Connection) -> None:
    """Empty the outbox: on a slow machine `install` leaves what it could not tell in time, for a relay to tell."""
    await connection.execute("DELETE FROM cache_outbox")


async def until_applied(connection: asyncpg.Connection) -> None:
    """Until the outbox is empty: from then on nobody may read an older value."""
    async with asyncio.timeout(PATIENCE):
        while await noted(connection):  # noqa: ASYNC110  what is awaited happens in the database
            await asyncio.sleep(_LOOK_AGAIN)
