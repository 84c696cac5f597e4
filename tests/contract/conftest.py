from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.administered import Administered
from tests.support.gateway import RunningGateway, parts_of, running_gateway

from gatewayz.accounts.scopes import ADMIN
from gatewayz.cli.offline import offline_lists
from gatewayz.embedded.servers import Servers


@pytest.fixture(scope="session")
async def gateway(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """One gateway with the whole offline catalog, for tests that change nothing."""
    lists = tuple(offline_lists().values())
    async with running_gateway(servers, tmp_path_factory.mktemp("gateway"), lists, max_body_bytes=4096) as running:
        yield running


@pytest.fixture
async def small_gateway(servers: Servers, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway of the test's own with a few models."""
    async with running_gateway(servers, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
async def administered(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Administered]:
    """One gateway for the tests of its administration, each of which works on accounts and keys of its own."""
    async with running_gateway(servers, tmp_path_factory.mktemp("administered")) as gateway:
        async with parts_of(gateway.settings) as parts:
            made = await parts.keys.create(name="admin", account="admin", scopes=(ADMIN,))
        async with gateway.client(Authorization=f"Bearer {made.secret}") as client:
            yield Administered(gateway, client, made.record.id)
