"""The servers that a command needs: those that the settings name, else the embedded ones."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from msgspec import Struct

from gatewayz.app import ENTITIES, Parts, assembled
from gatewayz.embedded.servers import Servers, embedded_servers
from gatewayz.settings import Settings, SettingsInvalid, database_url, load_settings
from gatewayz.storage.migrate import migrate, schema_state

T = TypeVar("T")


class Installation(Struct, frozen=True):
    """Settings that name a database, and the embedded servers behind them, if any."""

    settings: Settings
    servers: Servers


@contextmanager
def installation() -> Iterator[Installation]:
    """Start or join the embedded servers that the settings leave to us, for the time of the block.

    Their URLs are put into the environment, where worker processes find them.
    """
    settings = load_settings()
    # Python's own reaction to SIGTERM ends the process where it stands and would leave the servers running.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with embedded_servers(
        settings.data_dir.absolute(), postgres=settings.is_embedded, redis=settings.redis_url() is None
    ) as servers:
        if servers.database_url is not None:
            os.environ["DATABASE_URL"] = servers.database_url
            os.environ["GATEWAYZ_DEMO"] = str(settings.has_demo).lower()
        if servers.redis_url is not None:
            os.environ["REDIS_URL"] = servers.redis_url
        yield Installation(load_settings(), servers)


def revive(place: Installation) -> tuple[str, ...]:
    """Start those embedded servers of a running installation that have died, and return their names. Blocks."""
    servers = place.servers
    with embedded_servers(
        place.settings.data_dir.absolute(),
        postgres=servers.database_url is not None,
        redis=servers.redis_url is not None,
    ) as alive:
        return alive.started


async def prepare_schema(place: Installation) -> None:
    """Make sure that the schema is one that this version works on. An embedded database is migrated; one that was given
    is not, as others may be at work in it: raises SettingsInvalid with the remedy.
    """
    url = database_url(place.settings)
    state = await schema_state(url, ENTITIES)
    if state.is_usable:
        return
    if place.servers.database_url is None:
        raise SettingsInvalid(f"the database's schema is not this version's: {state}; run `gatewayz migrate`")
    await migrate(url, ENTITIES)


def with_parts(work: Callable[[Parts], Awaitable[T]]) -> T:
    """What `work` returns, given the parts over a current schema, for the time of one command."""
    with installation() as place:
        return asyncio.run(_worked(place, work))


async def _worked(place: Installation, work: Callable[[Parts], Awaitable[T]]) -> T:
    await prepare_schema(place)
    async with assembled(place.settings) as parts:
        return await work(parts)
