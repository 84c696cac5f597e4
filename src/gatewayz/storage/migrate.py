"""Forward migrations. Alembic orders and records them; each is plain SQL in migrations/versions/."""

from collections.abc import Collection

from msgspec import Struct

from gatewayz.storage import triggers
from gatewayz.storage.database import connect
from gatewayz.storage.revisions import SCHEMA_LOCK, head_revision
from gatewayz.storage.triggers import Filled


class SchemaState(Struct, frozen=True):
    """`current` is None in an empty database. `has_triggers`: those of the cache are what this version declares."""

    current: str | None
    head: str
    has_triggers: bool

    @property
    def is_current(self) -> bool:
        return self.current == self.head and self.has_triggers

    @property
    def is_ahead(self) -> bool:
        """A newer version has migrated it. This one works on it as it is, for migrations take nothing away that the
        version before them needs, and must leave its triggers alone.
        """
        return self.current is not None and self.current > self.head

    @property
    def is_usable(self) -> bool:
        return self.is_current or self.is_ahead

    def __str__(self) -> str:
        if self.is_ahead:
            return f"revision {self.current}, of a newer version than this one, which knows {self.head}"
        lacking = "" if self.has_triggers or self.current != self.head else ", but the cache's triggers differ from it"
        return f"revision {self.current or 'none'}, newest is {self.head}{lacking}"


async def schema_state(url: str, entities: Collection[Filled]) -> SchemaState:
    """Where the schema stands, and whether its triggers are those that the entities declare. Raises Unavailable."""
    connection = await connect(url)
    try:
        exists = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        current = await connection.fetchval("SELECT version_num FROM alembic_version") if exists else None
        head = head_revision()
        has_triggers = current == head and (
            await triggers.installed(connection) == await triggers.expected(connection, entities)
        )
    finally:
        await connection.close()
    return SchemaState(current, head, has_triggers)


async def migrate(url: str, entities: Collection[Filled], revision: str = "head") -> SchemaState:
    """Bring the schema to `revision`, and its triggers to what the entities declare if that is the newest one. A schema
    that a newer version has migrated stays as it is.

    Safe to run from several processes at once; a failed step changes nothing.
    """
    found = await schema_state(url, entities)
    if found.is_ahead:
        return found
    # Imported here because nearly every start finds the schema current and need not wait for Alembic's 0.35 s.
    from gatewayz.storage.upgrade import upgrade  # noqa: PLC0415

    await upgrade(url, revision)
    await _install_triggers(url, entities)
    return await schema_state(url, entities)


async def _install_triggers(url: str, entities: Collection[Filled]) -> None:
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
            if await connection.fetchval("SELECT version_num FROM alembic_version") == head_revision():
                await triggers.install(connection, entities)
    finally:
        await connection.close()
