"""What Redis says has changed, applied to this worker's memory, in its place between the replies."""

import asyncio
from collections.abc import Iterator
from typing import Any

from gatewayz.cache.memory import NEVER, Memory, Shelf, Shelves
from gatewayz.cache.reader import Reader
from gatewayz.cache.redis_keys import LONGEST_TEXT
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.scope import Scopes, tag_of


class Tracking:
    """A change is an invalidation, or a newer value of another worker; which of them, only Redis knows. So what may
    never be stale goes; the rest is not served before Redis was asked again, which begins at once.
    """

    def __init__(self, shelves: Shelves, scopes: Scopes, memory: Memory, reader: Reader, tier: RedisTier) -> None:
        self._shelves = shelves
        self._scopes = scopes
        self._memory = memory
        self._reader = reader
        self._tier = tier

    def changed(self, key: bytes | None) -> None:
        """None: any key may have changed."""
        if key is None:
            self._memory.doubt()
            for shelf in self._shelves.values():
                self._overtake(shelf)
                _call(shelf)
            return
        if (scope := self._tier.keys.scope_of(key)) is not None:
            self._scope_changed(scope)
            return
        for target in self._tier.keys.targets(key):
            named = self._shelves.named.get(target.name)
            if named is not None and target.text is not None:
                for text in self._texts(named, target.text):
                    self._doubt(named, text)

    def _scope_changed(self, name: str) -> None:
        """A tag, or a whole entity, was invalidated."""
        self._scopes.bump(name)
        if (tag := tag_of(name)) is not None:
            for shelf in self._shelves.carrying(tag):
                shelf.part()
                _call(shelf)
        elif (named := self._shelves.named.get(name)) is not None:
            self._overtake(named)
            named.forget()
            _call(named)

    def _overtake(self, shelf: Shelf[Any]) -> None:
        for flight in (*shelf.flights.values(), *shelf.kept_apart):
            flight.change(self._tier.order)

    def _doubt(self, shelf: Shelf[Any], text: str) -> None:
        if flight := shelf.flights.get(text):
            flight.change(self._tier.order)
        for flight in shelf.apart_from(text):
            flight.change(self._tier.order)
        entry = shelf.entries.get(text)
        if entry is None:
            return
        if shelf.policy.stale:
            entry.epoch = NEVER
            self._reader.look_again(shelf, entry.key, text)
        else:
            shelf.remove(text)
        _call(shelf)

    def _texts(self, shelf: Shelf[Any], text: str) -> Iterator[str]:
        yield text
        if text.startswith("sha256-"):
            known = {*shelf.entries, *shelf.flights}
            key = self._tier.keys.entry(shelf.entity, text)
            yield from (
                each for each in known if len(each) > LONGEST_TEXT and self._tier.keys.entry(shelf.entity, each) == key
            )


def _call(shelf: Shelf[Any]) -> None:
    for watcher in shelf.watchers:
        asyncio.get_running_loop().call_soon(watcher)
