"""gatewayz as it is measured: entities whose loader is slow, or is never called."""

import asyncio
import random
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from tests.support.worker_cache import worker_cache

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy


class Value(Struct, frozen=True):
    key: str
    text: str


def text_of(size: int) -> str:
    """Compresses to three quarters, as text of no great meaning does."""
    return "".join(random.Random(size).choices(string.ascii_letters + string.digits, k=size))


class Source:
    """Counts loads, each of which takes `seconds` and returns `size` bytes of text."""

    def __init__(self, *, seconds: float = 0.0, size: int = 260) -> None:
        self.loads = 0
        self._seconds = seconds
        self._text = text_of(size)

    async def load(self, key: str) -> Value:
        self.loads += 1
        if self._seconds:
            await asyncio.sleep(self._seconds)
        return Value(key, self._text)

    async def text(self, key: str) -> str:
        return (await self.load(key)).text


async def load(source: Source, key: str) -> Value:
    return await source.load(key)


VALUE: Entity[str, Value] = Entity(name="bench:value", value=Value, load=load, policy=Policy(fresh=300))
CHECKED: Entity[str, Value] = Entity(name="bench:checked", value=Value, load=load, policy=Policy(fresh=300, l1_max=0))


@asynccontextmanager
async def ours(source: Source, url: str, **options: Any) -> AsyncIterator[Cache]:  # noqa: ANN401  those of Cache
    async with worker_cache([VALUE, CHECKED], source, redis_url=url, connect_timeout=1, **options) as cache:
        await cache.start()
        yield cache
