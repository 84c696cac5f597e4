"""Real servers for tests, each test with a database of its own."""

import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from gatewayz.app import ENTITIES
from gatewayz.embedded.servers import Servers, embedded_servers
from gatewayz.storage.migrate import migrate

_TEMPLATE = "migrated"


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory that any user may enter, with a path short enough for sockets: pytest's own is neither."""
    with tempfile.TemporaryDirectory(prefix="gwz-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@contextmanager
def embedded_for_tests(directory: Path) -> Iterator[Servers]:
    """One PostgreSQL and one Redis (if a program for it is found) for as long as the context lasts."""
    with embedded_servers(directory / "data", postgres=True, redis=True) as servers:
        yield servers


@asynccontextmanager
async def fresh_database(servers: Servers, *, template: str = "template0") -> AsyncIterator[str]:
    """The URL of a new database, empty unless it is a copy, which is dropped afterwards with whoever is still connected
    to it.
    """
    url = servers.database_url
    assert url is not None
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield _of(url, name)
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@asynccontextmanager
async def migrated_database(servers: Servers) -> AsyncIterator[str]:
    """As a fresh one, with the schema of today: a copy of one that is migrated for whoever is first to ask."""
    await _make_template(servers)
    async with fresh_database(servers, template=_TEMPLATE) as url:
        yield url


async def _make_template(servers: Servers) -> None:
    url = servers.database_url
    assert url is not None
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _TEMPLATE) is None:
            await connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            await migrate(_of(url, _TEMPLATE), ENTITIES)
    finally:
        await connection.close()


def _of(url: str, name: str) -> str:
    return url.replace("@/gatewayz?", f"@/{name}?")
