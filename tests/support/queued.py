"""A small user of the queues, as the paper describes one: by key, with a read that only counts."""

from collections.abc import Iterable

from gatewayz.cache.s3fifo import MOST_HITS, Node, S3Fifo
from tests.support.l1_check import checked_queues


class Item(Node):
    __slots__ = ("keeper", "key")

    def __init__(self, keeper: "Keeper", key: str, size: int) -> None:
        super().__init__(size)
        self.keeper = keeper
        self.key = key

    def mark(self) -> int:
        return hash(self.key)

    def evicted(self) -> None:
        del self.keeper.items[self.key]
        self.keeper.evictions.append(self.key)


class Keeper:
    """Checks everything after every write. `evictions`: keys in the order in which they made room."""

    def __init__(self, *, max_entries: int = 10, max_bytes: int = 1_000_000) -> None:
        self.queues = S3Fifo(max_entries=max_entries, max_bytes=max_bytes)
        self.items: dict[str, Item] = {}
        self.evictions: list[str] = []

    def put(self, key: str, size: int = 1) -> bool:
        """False where it is too large; then the former one went too."""
        former = self.items.pop(key, None)
        item = Item(self, key, size)
        admitted = size <= self.queues.largest
        if not admitted and former is not None:
            former.leave()
        elif admitted:
            self.items[key] = item
            if former is None:
                self.queues.put(item)
            else:
                self.queues.replace(former, item)
        self.check()
        return admitted

    def put_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.put(key)

    def read(self, key: str, times: int = 1) -> bool:
        item = self.items.get(key)
        if item is not None:
            item.hits = min(MOST_HITS, item.hits + times)
        return item is not None

    def remove(self, key: str) -> None:
        self.items.pop(key).leave()
        self.check()

    def small(self) -> list[str]:
        return [node.key for node in self.queues.small if isinstance(node, Item)]

    def main(self) -> list[str]:
        return [node.key for node in self.queues.main if isinstance(node, Item)]

    def check(self) -> None:
        nodes = checked_queues(self.queues)
        assert {id(node) for node in nodes} == {id(item) for item in self.items.values()}
