"""Which server leads, as Redis Sentinel sees it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisUnreachable
from redis.exceptions import RedisError

from gatewayz.cache.redis_url import Address
from gatewayz.cache.wire.endpoint import Dial, Endpoint
from gatewayz.cache.wire.errors import NotConnected

ANSWER_WITHIN = 0.5


class Sentinels:
    """All are asked, each time. Of those who see a primary that is up, the one counts that knows of the latest
    failover: not one that was cut off together with a former primary.
    """

    def __init__(self, sentinels: Sequence[Redis], service: str, like: Dial) -> None:
        self._sentinels = sentinels
        self._service = service
        self._like = like

    async def primary(self) -> Address:
        """Raises RedisError where none is known."""
        seen = await asyncio.gather(*map(self._seen_by, self._sentinels))
        states = [state for state in seen if state is not None]
        if not states:
            raise RedisUnreachable(f"no Sentinel names a primary of {self._service!r} that is up; see that they run")
        state = max(states, key=lambda each: int(each.get("config-epoch", 0)))
        return str(state["ip"]), int(state["port"])

    async def dial(self) -> Endpoint:
        try:
            host, port = await self.primary()
        except RedisError as error:
            raise NotConnected(str(error)) from error
        return replace(await self._like(), host=host, port=port, path=None)

    async def close(self) -> None:
        for sentinel in self._sentinels:
            await sentinel.aclose()

    async def _seen_by(self, sentinel: Redis) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                state: Any = await sentinel.sentinel_master(self._service)
        except (RedisError, OSError):
            return None
        is_up = state["is_master"] and not state["is_sdown"] and not state["is_odown"]
        return dict(state) if is_up else None
