"""Where loaders read from."""

from collections.abc import Mapping
from typing import Any

from gatewayz.cache.entity import Entity


class Sources:
    """`common`: what loaders are handed; `own`: what those of single entities are handed in its place."""

    def __init__(self, common: object, own: Mapping[Entity[Any, Any], object]) -> None:
        self._common = common
        self._own = own

    def of(self, entity: Entity[Any, Any]) -> object:
        return self._own.get(entity, self._common)
