"""Ours and what it is compared with. Each says whether a key was there, and lets it in where it was not."""

import importlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from importlib.util import find_spec

from gatewayz.cache.s3fifo import MOST_HITS, Node, S3Fifo

Read = Callable[[int], bool]
"""Whether the key was there; from now on it is."""

Make = Callable[[int], Read]
"""A policy with room for so many keys."""


class _Kept(Node):
    __slots__ = ("kept", "key")

    def __init__(self, key: int, kept: "dict[int, _Kept]") -> None:
        super().__init__(size=1)
        self.key = key
        self.kept = kept

    def mark(self) -> int:
        return self.key

    def evicted(self) -> None:
        del self.kept[self.key]


def ours(size: int) -> Read:
    """The queues that the worker's memory uses, bounded by count alone."""
    kept: dict[int, _Kept] = {}
    queues = S3Fifo(max_entries=size, max_bytes=100 * size)

    def read(key: int) -> bool:
        node = kept.get(key)
        if node is None:
            node = _Kept(key, kept)
            queues.put(node)
            kept[key] = node
            return False
        if node.hits < MOST_HITS:
            node.hits += 1
        return True

    return read


def lru(size: int) -> Read:
    return _first_out(size, moves=True)


def fifo(size: int) -> Read:
    return _first_out(size, moves=False)


def _first_out(size: int, *, moves: bool) -> Read:
    kept: OrderedDict[int, None] = OrderedDict()

    def read(key: int) -> bool:
        if key in kept:
            if moves:
                kept.move_to_end(key)
            return True
        if len(kept) == size:
            kept.popitem(last=False)
        kept[key] = None
        return False

    return read


def _mapping(make: Callable[[int], MutableMapping[int, bool]]) -> Make:
    """A policy of a mapping that evicts by itself, read as its users read it."""

    def policy(size: int) -> Read:
        kept = make(size)

        def read(key: int) -> bool:
            if kept.get(key):
                return True
            kept[key] = True
            return False

        return read

    return policy


def peers() -> Mapping[str, Make]:
    """Those of cachetools are missing where it is not installed: it is no dependency of ours."""
    found: dict[str, Make] = {"LRU": lru, "FIFO": fifo}
    if find_spec("cachetools") is not None:
        theirs = importlib.import_module("cachetools")
        found["cachetools LRU"] = _mapping(theirs.LRUCache)
        found["cachetools LFU"] = _mapping(theirs.LFUCache)
        found["cachetools TTL"] = _mapping(lambda size: theirs.TTLCache(size, ttl=3600))
    return found
