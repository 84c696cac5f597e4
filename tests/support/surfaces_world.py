"""One gateway before providers of two dialects, asked in all forms that callers speak. It keeps answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from gatewayz.embedded.servers import Servers
from tests.support.gateway import RunningGateway, listed, listing, running_gateway
from tests.support.native_upstream import NativeUpstream
from tests.support.telling_upstream import TellingUpstream

CLAUDE, ROCKET, ECHO = "claude-recorded", "acme/rocket-1", "demo/echo"
LISTS = (listing("claudia", listed(CLAUDE, "0.000003")), listing("acme", listed("rocket-1", "0.001")))


class SurfacesWorld(Struct, frozen=True):
    """`native` answers for CLAUDE in Anthropic's form, `telling` for ROCKET in OpenAI's."""

    gateway: RunningGateway
    native: NativeUpstream
    telling: TellingUpstream

    def reset(self) -> None:
        self.native.reset()
        self.telling.reset()


@asynccontextmanager
async def surfaces_world(servers: Servers, data_dir: Path) -> AsyncIterator[SurfacesWorld]:
    async with NativeUpstream().running() as native, TellingUpstream().running() as telling:
        providers = {
            "claudia": {"base_url": f"{native.url}/claudia", "api_key": "sk-ant-secret", "dialect": "anthropic"},
            "acme": {"base_url": telling.url, "api_key": "sk-acme"},
        }
        async with running_gateway(
            servers, data_dir, LISTS, providers=providers, responses={"enabled": True}
        ) as gateway:
            yield SurfacesWorld(gateway, native, telling)
