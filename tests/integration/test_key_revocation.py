"""A key revoked over HTTP is refused by every worker, also while Redis is frozen."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr
from tests.support.administered import Administered
from tests.support.fleet import fleet
from tests.support.gateway import serving
from tests.support.own_redis import own_redis

from gatewayz.accounts.scopes import ADMIN
from gatewayz.core.errors import InvalidApiKey
from gatewayz.settings import Settings

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("is_frozen", [False, True], ids=["redis well", "redis frozen"])
async def test_a_key_revoked_over_http_is_refused_by_all_workers_when_it_answers(
    settings: Settings, *, is_frozen: bool
) -> None:
    with own_redis() as redis:
        cache = settings.cache.model_copy(update={"redis_url": SecretStr(redis.url)})
        settings = settings.model_copy(update={"cache": cache})
        async with AsyncExitStack() as stack:
            workers = await stack.enter_async_context(fleet(settings, 3))
            admin = await workers[0].keys.create(name="admin", account="admin", scopes=(ADMIN,))
            gateway = await stack.enter_async_context(serving(settings))
            client = await stack.enter_async_context(gateway.client(Authorization=f"Bearer {admin.secret}"))
            administered = Administered(gateway, client, admin.record.id)
            key = await administered.key()
            assert await administered.chat(key["key"]) == 200
            for each in workers:
                await each.authentication.authenticate(key["key"])
            if is_frozen:
                redis.freeze()
            try:
                began = time.monotonic()
                revoked = await administered.ask("DELETE", f"/admin/keys/{key['id']}")
                assert revoked.status == 200
                assert await administered.chat(key["key"]) == 401
                for each in workers:
                    with pytest.raises(InvalidApiKey):
                        async with asyncio.timeout(2):
                            await each.authentication.authenticate(key["key"])
                if is_frozen:
                    assert time.monotonic() - began < 5
            finally:
                redis.thaw()
