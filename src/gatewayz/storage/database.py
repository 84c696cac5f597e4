"""PostgreSQL through asyncpg: one way to connect, one way to fail."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg import Connection, Record
from asyncpg.pool import Pool, PoolConnectionProxy

from gatewayz.core.errors import Unavailable

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says when a goodbye of the server crosses a statement
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong password too
    asyncpg.InvalidCatalogNameError,  # no such database
    asyncpg.CrashShutdownError,
)


def tls_for(url: str) -> ssl.SSLContext | None:
    """The TLS rule: a database on another host is verified against the system's authorities.

    `sslmode` in the URL overrides it (`disable` for a private network, `verify-full` with `sslrootcert` for
    an authority of your own).
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = parts.hostname or (query.get("host") or [""])[0]
    if "sslmode" in query or not host or host.startswith("/") or host in _LOOPBACK:
        return None
    return ssl.create_default_context()


async def connect(url: str, *, timeout: float = 5.0) -> Connection:  # noqa: ASYNC109  asyncpg's own deadline
    """One connection outside any pool. Raises Unavailable."""
    try:
        return await asyncpg.connect(url, ssl=tls_for(url), timeout=timeout)
    except (*_UNREACHABLE, asyncpg.PostgresError) as error:
        raise unreachable(error) from error


def unreachable(error: BaseException) -> Unavailable:
    # The URL is left out: it may carry a password.
    return Unavailable(
        f"the database does not answer ({type(error).__name__}); check DATABASE_URL and that PostgreSQL runs"
    )


class Database:
    """A pool that opens on first use, so that a worker starts, and says so, while PostgreSQL is away.

    Every method raises Unavailable when the database cannot be reached; other database errors pass through.
    """

    def __init__(self, url: str, *, pool_size: int, connect_timeout: float, command_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._pool: Pool = asyncpg.create_pool(
            url,
            ssl=tls_for(url),
            min_size=0,
            max_size=pool_size,
            timeout=connect_timeout,
            command_timeout=command_timeout,
        )

    async def open(self) -> None:
        """Make the pool usable. Connects to nothing yet."""
        await self._pool

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy]:
        try:
            async with self._pool.acquire(timeout=self._connect_timeout) as connection:
                yield connection
        except _UNREACHABLE as error:
            raise unreachable(error) from error

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Record]:
        async with self.connection() as connection:
            rows: Sequence[Record] = await connection.fetch(sql, *arguments)
            return rows

    async def fetch_row(self, sql: str, *arguments: object) -> Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def fetch_value(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401  what the column holds
        async with self.connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        async with self.connection() as connection:
            await connection.execute(sql, *arguments)
