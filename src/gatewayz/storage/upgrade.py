"""Alembic at work. Apart from migrate.py, as it takes a third of a second to import and is rarely needed."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection as SqlConnection
from sqlalchemy.ext.asyncio import create_async_engine

from gatewayz.storage.database import connect
from gatewayz.storage.revisions import SCHEMA_LOCK, SCRIPTS


async def upgrade(url: str, revision: str) -> None:
    """Run the steps up to `revision`, each in its own transaction, under a lock that other processes wait for."""

    def run(connection: SqlConnection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({SCHEMA_LOCK})")
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({SCHEMA_LOCK})")
        connection.commit()

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(url))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()
