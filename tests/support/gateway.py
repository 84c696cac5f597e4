"""A gateway for tests: a real worker on a real socket in this process, over the real servers of the tests."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct
from redis.asyncio import Redis
from yarl import URL

from gatewayz.api.draining import Drain
from gatewayz.api.server import Server, server_config
from gatewayz.app import ENTITIES, Parts, assembled, catalog_sync
from gatewayz.cli.first_start import sync_without_network
from gatewayz.core.clock import SystemClock
from gatewayz.embedded.servers import Servers
from gatewayz.providers.listing import ListedModel, Listing
from gatewayz.settings import Settings
from gatewayz.storage.migrate import migrate
from gatewayz.worker import Worker
from tests.support.servers import migrated_database

_READY_WITHIN = 60.0
_LOOK_AGAIN = 0.01
# Redis has 16 databases; 0 belongs to the tests of the cache. Gateways that live at once need one each.
_REDIS_DATABASES = itertools.cycle(range(1, 16))


class RunningGateway(Struct, frozen=True):
    """Where it listens, an API key that it takes, and its settings, for parts of one's own beside it."""

    url: str
    api_key: str
    settings: Settings

    def at(self, path: str) -> URL:
        """The address of a path, which is sent as it is written here."""
        return URL(self.url + path, encoded=True)

    def client(self, **headers: str) -> aiohttp.ClientSession:
        """Sends what it is told only: no Accept-Encoding of its own, and bodies come as they were sent."""
        return aiohttp.ClientSession(headers=headers, skip_auto_headers=["Accept-Encoding"], auto_decompress=False)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    async def health(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /health/ready."""
        async with self.client() as client, client.get(self.at("/health/ready")) as response:
            return response.status, await response.json()

    async def until_health(self, status: int, word: str) -> dict[str, Any]:
        """The body of /health/ready, once it has this status and word. Fails after a minute."""
        async with asyncio.timeout(_READY_WITHIN):
            while True:
                found = await self.health()
                if (found[0], found[1]["status"]) == (status, word):
                    return found[1]
                await asyncio.sleep(_LOOK_AGAIN)


def listed(native_id: str, prompt: str | None = None, **fields: Any) -> ListedModel:  # noqa: ANN401  any field
    """A row of a provider's list; `prompt` is its price, the completion costs twice as much."""
    prices = {} if prompt is None else {"prompt": Decimal(prompt), "completion": 2 * Decimal(prompt)}
    return ListedModel(native_id=native_id, prices=prices, **fields)


def listing(provider: str, *models: ListedModel) -> Listing:
    return Listing(provider=provider, models=models)


SMALL_CATALOG = (
    listing(
        "openai",
        listed("gpt-4o", "0.0000025", name="GPT-4o", context_length=128_000, input_modalities=("text", "image")),
        listed("gpt-4o-mini", "0.00000015", name="GPT-4o mini", context_length=128_000),
        listed("text-embedding-3-small", "0.00000002", name="Text embedding 3 small"),
    ),
    listing(
        "openrouter",
        listed("openai/gpt-4o", "0.000002", name="OpenAI: GPT-4o", context_length=128_000),
        listed("openai/gpt-4o-mini", name="OpenAI: GPT-4o-mini"),
        listed("meta-llama/llama-3.3-70b-instruct:free", "0", name="Llama 3.3 70B (free)", is_free=True),
    ),
    listing("azure-openai", listed("gpt-4o", name="GPT-4o")),
)


def settings_for(
    servers: Servers, database_url: str, data_dir: Path, *, providers: Mapping[str, Any] | None = None, **others: object
) -> Settings:
    """Settings of a gateway with a database and a Redis database of its own, and the demo provider. Each test finds its
    providers well, whatever another one has made of them, each is tried once, and answers are not kept: each request
    reaches a provider.
    """
    redis_url = servers.redis_url and f"{servers.redis_url}?db={next(_REDIS_DATABASES)}"
    return Settings.model_validate(
        {
            "storage": {"database_url": database_url},
            "cache": {"redis_url": redis_url, "redis_socket_connect_timeout": 1.0},
            "catalog": {"sync_on_start": False},
            "data_dir": data_dir,
            "demo": True,
            "health": {"failures": 1000, "quota_pause": 0.001, "evidence": 1_000_000},
            "inference": {"rounds": 1},
            "providers": providers or {},
            "responses": {"enabled": False},
            "drain": {"limit": 2.0},
            **others,
        }
    )


@asynccontextmanager
async def parts_of(settings: Settings) -> AsyncIterator[Parts]:
    """Parts beside a running gateway: another process, as far as it can tell."""
    async with assembled(settings) as parts:
        yield parts


async def import_lists(parts: Parts, lists: Sequence[Listing], source: str = "live") -> None:
    sync = catalog_sync(parts, {})
    for each in lists:
        await sync.accept(each, name=each.provider.title(), source=source, accept_short=True)  # type: ignore[arg-type]


async def install(settings: Settings, lists: Sequence[Listing] = SMALL_CATALOG) -> str:
    """The schema, an emptied Redis, these lists, what settings list; returns an API key that may use models without a
    price.
    """
    url = settings.storage.database_url
    assert url is not None
    await migrate(url.get_secret_value(), ENTITIES)
    if (redis_url := settings.redis_url()) is not None:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
    async with parts_of(settings) as parts:
        await import_lists(parts, lists)
        await sync_without_network(parts)
        return (await parts.keys.create(name="test", account="test", pays_unknown_prices=True)).secret


@asynccontextmanager
async def serving(settings: Settings, api_key: str = "", *, is_ready: bool = True) -> AsyncIterator[RunningGateway]:
    """A worker behind uvicorn on a free loopback port; the block begins when traffic is welcome.

    `is_ready=False`: it begins as soon as the worker listens.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        drain = Drain(settings.drain, SystemClock())
        server = Server(server_config(Worker(settings, drain)), drain)
        running = asyncio.create_task(server.serve(sockets=[listener]), name="gateway")
        gateway = RunningGateway(f"http://127.0.0.1:{listener.getsockname()[1]}", api_key, settings)
        try:
            await _until_started(server, running)
            if is_ready:
                await gateway.until_health(200, "ok")
            yield gateway
        finally:
            drain.begin()
            await running


@asynccontextmanager
async def running_gateway(
    servers: Servers,
    data_dir: Path,
    lists: Sequence[Listing] = SMALL_CATALOG,
    *,
    providers: Mapping[str, Any] | None = None,
    **others: object,
) -> AsyncIterator[RunningGateway]:
    """A gateway with a fresh database that holds these lists."""
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(migrated_database(servers))
        settings = settings_for(servers, database_url, data_dir, providers=providers, **others)
        api_key = await install(settings, lists)
        yield await stack.enter_async_context(serving(settings, api_key))


async def _until_started(server: Server, running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(_READY_WITHIN):
        while not server.started:
            if running.done():
                await running
                raise AssertionError("the gateway did not start; its log says why")
            await asyncio.sleep(_LOOK_AGAIN)
