"""What is dead and of which Redis, or other workers, have not been told."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from gatewayz.cache.cascade import Target
from gatewayz.cache.entity import Entity
from gatewayz.cache.scope import kind_of, tag_of

MOST_UNSENT = 1000


class Unsent(Struct, frozen=True):
    """`number` tells a repeated invalidation from the one before; `announce`: the other workers must hear it too."""

    number: int
    announce: bool
    floor: int = 0


class Backlog(dict[Target, Unsent]):
    """What it concerns is not read from Redis, where it may live on. Of very many keys their whole entities are
    remembered. To be changed by `add` and `sent` only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()  # of tags
        self._counter = 0

    def add(self, targets: Iterable[Target], *, announce: bool, floor: int) -> None:
        for target in targets:
            kept = target if len(self) < MOST_UNSENT else Target(target.name, None)
            before = self.get(kept)
            if before is None:
                self._count(kept, 1)
                before = Unsent(0, announce=False)
            self._counter += 1
            self[kept] = Unsent(self._counter, announce or before.announce, max(floor, before.floor))

    def sent(self, batch: Mapping[Target, Unsent]) -> None:
        """A copy of this arrived; what was added again since is still to be sent."""
        for target, unsent in batch.items():
            if self.get(target) == unsent:
                del self[target]
                self._count(target, -1)

    def concerns(self, entity: Entity[Any, Any]) -> bool:
        """Whether any value of the entity may be dead without Redis knowing it."""
        if not self:
            return False
        return self._names[entity.name] > 0 or any(self._kinds[kind] > 0 for kind in entity.tags)

    def _count(self, target: Target, step: int) -> None:
        if (tag := tag_of(target.name)) is not None:
            self._kinds[kind_of(tag)] += step
        else:
            self._names[target.name] += step
