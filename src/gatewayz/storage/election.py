"""One leader among all processes on one database, by a lock that dies with the leader's connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gatewayz.storage.database import connect, unreachable

_CHECK_EVERY = 2.0
_ASK_EVERY = 0.5


async def lead(url: str, role: str, work: Callable[[], Awaitable[Any]]) -> None:
    """Wait to be elected for `role`, then do `work`; return when it is done. Who dies leading is followed within 0.5 s.

    The work is cancelled when the lock's connection is lost, as another may lead from then on. Raises Unavailable.
    """
    connection = await connect(url)
    try:
        ask = "SELECT pg_try_advisory_lock(hashtext('leader:' || $1))"
        while not await _asked(connection, ask, role):  # noqa: ASYNC110  what is waited for is another process's end
            # A statement that waited for the lock would hold back vacuum all the while.
            await asyncio.sleep(_ASK_EVERY)
        await _while_alive(connection, work)
    finally:
        connection.terminate()


@asynccontextmanager
async def alone(url: str, role: str) -> AsyncIterator[None]:
    """Wait until nobody else is in such a block with this role; the next may enter when this one is left or dies."""
    connection = await connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtext('alone:' || $1))", role)
        yield
    finally:
        connection.terminate()


async def _asked(connection: asyncpg.Connection, sql: str, *arguments: object) -> Any:  # noqa: ANN401  a column's value
    try:
        return await connection.fetchval(sql, *arguments, timeout=_CHECK_EVERY)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise unreachable(error) from error


async def _while_alive(connection: asyncpg.Connection, work: Callable[[], Awaitable[Any]]) -> None:
    task = asyncio.ensure_future(work())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_CHECK_EVERY)
            await _asked(connection, "SELECT 1")
        await task
    finally:
        task.cancel()
        # The lock is held until the work has ended: two leaders never overlap while the connection lives.
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it failed as the lock did, which is raised already, or is raised above
