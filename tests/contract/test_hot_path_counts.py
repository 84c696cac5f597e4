"""What a warm request sends to the database and to Redis, counted on its way there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.gateway import RunningGateway, install, parts_of, serving, settings_for
from tests.support.servers import short_directory

from gatewayz.embedded.servers import Servers

MANY = 300
FEW = MANY // 2
"""What the background may send meanwhile: heartbeats, elections, the sampler. On a slow machine it has some time."""
CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "Hello"}], "cache": {"no-store": True}}
"""Nothing is kept: a kept answer would cost less."""


class Counted:
    def __init__(
        self, gateway: RunningGateway, client: aiohttp.ClientSession, database: CountingProxy, redis: CountingProxy
    ) -> None:
        self.gateway = gateway
        self._client = client
        self._database = database
        self._redis = redis

    async def sent(self, method: str, path: str, body: object, *, key: str, status: int) -> tuple[int, int]:
        """How often something was sent to the database and to Redis for MANY requests, after as many others."""
        for _ in range(2):
            before = self._database.sent, self._redis.sent
            for _ in range(MANY):
                headers = {"Authorization": f"Bearer {key}"}
                async with self._client.request(method, self.gateway.at(path), json=body, headers=headers) as answer:
                    assert answer.status == status, await answer.text()
                    await answer.read()
        return self._database.sent - before[0], self._redis.sent - before[1]


@pytest.fixture
async def counted(servers: Servers, database_url: str, tmp_path: Path) -> AsyncIterator[Counted]:
    assert servers.redis_url is not None
    directory = Path(parse_qs(urlsplit(database_url).query)["host"][0])
    with short_directory() as place:
        async with AsyncExitStack() as stack:
            socket = ".s.PGSQL.5432"
            database = await stack.enter_async_context(counting_proxy(directory / socket, place / socket))
            redis = await stack.enter_async_context(
                counting_proxy(Path(servers.redis_url.removeprefix("unix://")), place / "redis.sock")
            )
            through = Servers(redis_url=f"unix://{place}/redis.sock")
            later = {"settle_every": 60}  # charges are settled behind, by time
            settings = settings_for(through, database_url.replace(str(directory), str(place)), tmp_path, credits=later)
            api_key = await install(settings)
            gateway = await stack.enter_async_context(serving(settings, api_key))
            client = await stack.enter_async_context(aiohttp.ClientSession())
            yield Counted(gateway, client, database, redis)


async def test_what_a_key_asks_of_its_own_row_is_counted(counted: Counted) -> None:
    """Else nothing below would say anything."""
    database, _ = await counted.sent("GET", "/v1/key", None, key=counted.gateway.api_key, status=200)
    assert database >= MANY


async def test_a_key_that_is_known_costs_no_question_to_redis_or_the_database(counted: Counted) -> None:
    key = counted.gateway.api_key
    database, redis = await counted.sent("POST", "/v1/chat/completions", {}, key=key, status=400)
    assert database < FEW
    assert redis < FEW


async def test_a_balance_that_is_known_costs_none_either(counted: Counted) -> None:
    database, redis = await counted.sent("GET", "/v1/credits", None, key=counted.gateway.api_key, status=200)
    assert database < FEW
    assert redis < FEW


async def test_a_chat_under_limits_asks_redis_once_before_its_answer_and_tells_it_once_after(counted: Counted) -> None:
    async with parts_of(counted.gateway.settings) as parts:
        limits = {"requests_per_minute": 10**6, "tokens_per_minute": 10**9, "concurrent": 100}
        made = await parts.keys.create(name="limited", account="limited", pays_unknown_prices=True, limits=limits)
    database, redis = await counted.sent("POST", "/v1/chat/completions", CHAT, key=made.secret, status=200)
    assert database < FEW
    assert MANY <= redis < 2 * MANY + FEW
