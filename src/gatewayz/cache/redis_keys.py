"""What stands under which key in Redis."""

import hashlib
from collections.abc import Iterator
from typing import Any

from gatewayz.cache.cascade import Target
from gatewayz.cache.entity import Entity

LONGEST_TEXT = 200

_SCOPE = "#scope:"


class RedisKeys:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def entry(self, entity: Entity[Any, Any], text: str) -> str:
        """Of one value with its generation. A text too long for a key shows as its digest."""
        return self.entry_of(entity.name, text)

    def start(self, entity: Entity[Any, Any]) -> str:
        """With what the key of each entry begins whose text follows as it is: which is neither empty nor too long."""
        return f"{self._prefix}{entity.name}:"

    def entry_of(self, name: str, text: str) -> str:
        if len(text) > LONGEST_TEXT:
            text = "sha256-" + hashlib.sha256(text.encode()).hexdigest()
        return f"{self._prefix}{name}:{text}" if text else f"{self._prefix}{name}"

    def refresh(self, entity: Entity[Any, Any], text: str) -> str:
        """Of the lease on a background refresh: apart from the entry, which others go on reading."""
        return f"{self._prefix}#refresh:{self.entry(entity, text).removeprefix(self._prefix)}"

    def scope(self, name: str) -> str:
        """Of the generation of a whole entity, or of a tag."""
        return f"{self._prefix}{_SCOPE}{name}"

    def scope_of(self, key: bytes) -> str | None:
        """The name of the scope that stands under the key, if it is such a key."""
        start = self._prefix + _SCOPE
        name = key.decode(errors="replace")
        return name.removeprefix(start) if name.startswith(start) else None

    def is_ours(self, key: bytes) -> bool:
        """Whether it stands under this cache's prefix."""
        return key.startswith(self._prefix.encode())

    def targets(self, key: bytes) -> Iterator[Target]:
        """What may stand under the key of an entry: each way to part it into an entity's name and a text."""
        name = key.decode(errors="replace").removeprefix(self._prefix)
        yield Target(name, "")
        for at, sign in enumerate(name):
            if sign == ":":
                yield Target(name[:at], name[at + 1 :])
