"""Scripts in a real Redis, on a clock that tests turn."""

import random
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from gatewayz.cache.redis_scripts import Form, RedisScripts
from gatewayz.cache.wire.exchange import Command
from tests.support.fake_clock import FakeClock
from tests.support.patience import PATIENCE

_REAL = "redis.call('TIME')"
_TURNED = "{redis.call('GET', 'clock:seconds'), redis.call('GET', 'clock:microseconds')}"


class TurnedScripts(RedisScripts):
    """The very scripts, but for the one expression that says what time it is: that of `turn_to`."""

    def __init__(self, redis: Redis, texts: Iterable[str]) -> None:
        self._turned = {text: text.replace(_REAL, _TURNED) for text in texts}
        assert all(_REAL in text or "now" not in text for text in self._turned)
        super().__init__(redis, self._turned.values(), clock=FakeClock(), rng=random.Random(1))

    def form(self, text: str, keys: Sequence[str], arguments: Sequence[str | int], *, rest: int) -> Form:
        return super().form(self._turned[text], keys, arguments, rest=rest)

    async def run(
        self, text: str, keys: Sequence[str], arguments: Iterable[str | bytes | int], *, within: float
    ) -> Any:  # noqa: ANN401  as the real one
        return await super().run(self._turned[text], keys, arguments, within=max(within, PATIENCE))

    def ask(self, form: Form, rest: Command, *, within: float) -> Awaitable[Any]:
        return super().ask(form, rest, within=max(within, PATIENCE))

    def post(self, form: Form, rest: Command, *, within: float) -> None:
        super().post(form, rest, within=max(within, PATIENCE))


async def turn_to(redis: Redis, seconds: float) -> None:
    """What time it is from now on."""
    now = round(seconds * 1_000_000)
    await redis.mset({"clock:seconds": now // 1_000_000, "clock:microseconds": now % 1_000_000})
