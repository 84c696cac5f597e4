"""What the cache can say no with.

CacheError
├── LoadFailed      the loader failed and nothing old enough to trust was at hand; `__cause__` says why
├── SomeFailed      some of many keys could not be loaded; it has the values of the others
├── LoadLoop        a loader waits, directly or through others, for its own result
├── UnknownEntity   the entity was not handed to this cache
├── BadKey          a key or a tag that is no text which Redis and other workers could be told
├── BadEntity       two declarations contradict each other
└── BusDown         an invalidation bus cannot send or listen now
"""

from collections.abc import Mapping
from typing import Any


class CacheError(Exception):
    """Any error of the cache itself. A failing Redis is never one: it is a miss."""


class LoadFailed(CacheError):
    def __init__(self, entity: str, key: str) -> None:
        super().__init__(f"cannot load {entity!r} for key {key!r}; the cause is the loader's own error")
        self.entity = entity
        self.key = key


class SomeFailed(CacheError):
    """`values` are those that were found, `failures` the errors, both by key."""

    def __init__(self, entity: str, values: Mapping[Any, Any], failures: Mapping[Any, LoadFailed]) -> None:
        super().__init__(f"cannot load {len(failures)} of {len(values) + len(failures)} keys of {entity!r}")
        self.values = values
        self.failures = failures


class LoadLoop(CacheError):
    pass


class UnknownEntity(CacheError):
    pass


class BadKey(CacheError):
    pass


class BadEntity(CacheError):
    pass


class BusDown(CacheError):
    pass
