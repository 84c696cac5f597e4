"""How long the cache waits for what may not answer."""

from typing import Any

from msgspec import Struct

from gatewayz.cache.entity import Entity


class Budgets(Struct, frozen=True, kw_only=True):
    """Seconds, to which the timers add 10 ms at most. `answer`: for Redis; after that it is passed by, and not asked
    again for a while. `large`: the same for values of large entities, for values above 64 KB and for invalidations.
    `lease`: for a load that other workers wait for; after that another of them loads.
    """

    answer: float = 0.035
    large: float = 0.250
    lease: float = 5.0

    def of(self, entity: Entity[Any, Any]) -> float:
        """For a read or a fill of this entity."""
        return self.large if entity.large else self.answer
