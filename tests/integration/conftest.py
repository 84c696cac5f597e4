from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from tests.support.fleet import nothing_noted, psql
from tests.support.gateway import install, settings_for
from tests.support.patience import PATIENCE

from gatewayz.cache.connection import connect
from gatewayz.embedded.servers import Servers
from gatewayz.settings import Settings


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url, connect_timeout=PATIENCE, socket_timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def settings(servers: Servers, migrated_database_url: str, tmp_path: Path) -> Settings:
    settings = settings_for(servers, migrated_database_url, tmp_path)
    await install(settings)
    return settings


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    async with psql(settings) as connection:
        await nothing_noted(connection)
        yield connection
