import secrets
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.administered import Administered
from tests.support.gateway import RunningGateway, parts_of, running_gateway
from tests.support.surfaces_world import SurfacesWorld, surfaces_world

from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE
from gatewayz.cli.offline import offline_lists
from gatewayz.core.money import nano_usd
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


@pytest.fixture(scope="session")
async def running_surfaces(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SurfacesWorld]:
    async with surfaces_world(servers, tmp_path_factory.mktemp("surfaces")) as world:
        yield world


@pytest.fixture
def surfaces(running_surfaces: SurfacesWorld) -> SurfacesWorld:
    running_surfaces.reset()
    return running_surfaces


@pytest.fixture
async def payer(surfaces: SurfacesWorld) -> str:
    """A key of an account of its own, which can pay, and whose entries nobody else has."""
    async with parts_of(surfaces.gateway.settings) as parts:
        made = await parts.keys.create(
            name="key", account=secrets.token_hex(4), credits=nano_usd(Decimal(10)), scopes=(INFERENCE, ACCOUNT)
        )
    return made.secret
