"""A cache that tells each use of it, for who looks for a fault. The plain one does not even ask whether to tell."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, TypeVar

from gatewayz.cache.cache import Cache, Keep
from gatewayz.cache.entity import Entity, Loaded
from gatewayz.cache.flight import Answer, Flight, Served
from gatewayz.cache.lookups import Found
from gatewayz.cache.memory import Entry, Shelf

K = TypeVar("K")
V = TypeVar("V")


class Use(StrEnum):
    """SET: the tiers were filled for a read, or by what came up elsewhere. Refreshes behind are not told."""

    HIT = "HIT"
    MISS = "MISS"
    SET = "SET"
    INVALIDATE = "INVALIDATE"


Tell = Callable[[Use, str, str | None], object]
"""The use, the entity's name, and the key as it is written: None for all keys."""

_WAITED_FOR_SOURCE = (Served.MISS, Served.BYPASS)


class WatchedCache(Cache):
    tell: Tell

    def watch(self, tell: Tell) -> None:
        """To be called before the first read. `tell` is called from where the use happens, and must not raise."""
        self.tell = tell
        self._invalidations.hearers.append(lambda shelf, text: tell(Use.INVALIDATE, shelf.entity.name, text))

    def peek(self, entity: Entity[Any, V], key: Any = ()) -> V | None:  # noqa: ANN401  as the plain one
        value = super().peek(entity, key)
        if value is not None:
            self.tell(Use.HIT, entity.name, entity.text(key))
        return value

    async def find(self, entity: Entity[K, V], key: K) -> Found[V] | None:
        found = await super().find(entity, key)
        self.tell(Use.MISS if found is None else Use.HIT, entity.name, entity.text(key))
        return found

    async def find_many(self, entity: Entity[K, V], keys: Iterable[K]) -> dict[K, Found[V]]:
        found = await super().find_many(entity, keys)
        for key in found:
            self.tell(Use.HIT, entity.name, entity.text(key))
        return found

    @asynccontextmanager
    async def keeping(self, entity: Entity[K, V], key: K) -> AsyncIterator[Keep[V]]:
        async with super().keeping(entity, key) as keep:

            async def telling(loaded: Loaded[V]) -> bool:
                if is_kept := await keep(loaded):
                    self.tell(Use.SET, entity.name, entity.text(key))
                return is_kept

            yield telling

    def _serves(self, shelf: Shelf[Any], key: object, text: str, entry: Entry[Any]) -> bool:
        serves = super()._serves(shelf, key, text, entry)
        if serves:
            self.tell(Use.HIT, shelf.entity.name, text)
        return serves

    def _served(self, shelf: Shelf[V], flight: Flight[V], answer: Answer[V], *, joined: bool) -> V | None:
        name = shelf.entity.name
        is_miss = joined or answer.error is not None or answer.served in _WAITED_FOR_SOURCE
        self.tell(Use.MISS if is_miss else Use.HIT, name, flight.text)
        if answer.error is None and answer.served is Served.MISS and flight.alive and not joined:
            self.tell(Use.SET, name, flight.text)
        return super()._served(shelf, flight, answer, joined=joined)
