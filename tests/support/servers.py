"""Real servers for tests, each test with a database of its own."""

import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from gatewayz.embedded.servers import Servers, embedded_servers


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
async def fresh_database(servers: Servers) -> AsyncIterator[str]:
    """The URL of a new, empty database, which is dropped afterwards with whoever is still connected to it."""
    url = servers.database_url
    assert url is not None
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield url.replace("@/gatewayz?", f"@/{name}?")
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
