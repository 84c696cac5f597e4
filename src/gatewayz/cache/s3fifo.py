"""S3-FIFO: which entries stay where not all can.

Yang, Zhang, Qiu, Yue and Vigfusson, "FIFO queues are all you need for cache eviction", SOSP 2023. Most keys are read
once and never again. So a new one waits in a small queue, and reaches the main queue only if it was read at least twice
while it waited, or comes back soon after it was let go, which is what the ghosts remember. A read raises a number and
moves nothing; all moving is done when room is needed.
"""

from collections import OrderedDict
from collections.abc import Iterator

MOST_HITS = 3
PROMOTED_FROM = 2
PARTS = 10
"""The small queue's part, and what one entry may take at most, is a tenth; the main queue's is the rest."""


class Node:
    """What stands in a queue. `hits`: reads since it came into this queue, at most MOST_HITS; the reader counts."""

    __slots__ = ("hits", "newer", "older", "queue", "size")

    newer: "Node"
    older: "Node"

    def __init__(self, size: int) -> None:
        self.size = size
        self.hits = 0
        self.queue: Queue | None = None

    def mark(self) -> int:
        """What the ghosts keep of it. Two keys with one mark do no harm but to the hit ratio."""
        raise NotImplementedError

    def evicted(self) -> None:
        """It had to make room, and stands in no queue any more."""
        raise NotImplementedError

    def leave(self) -> None:
        """Out of the queue it stands in, if any."""
        if self.queue is not None:
            self.queue.remove(self)


class Queue:
    """First in, first out, with removal from the middle. Every operation is O(1) and allocates nothing.

    The nodes are linked in a ring that `_end` closes: its newer one is the oldest, its older one the newest.
    """

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self._end = Node(0)
        self._end.older = self._end.newer = self._end

    def __iter__(self) -> Iterator[Node]:
        """From the oldest on."""
        node = self._end.newer
        while node is not self._end:
            yield node
            node = node.newer

    @property
    def oldest(self) -> Node:
        return self._end.newer

    def append(self, node: Node) -> None:
        end = self._end
        newest = end.older
        node.older, node.newer, node.queue = newest, end, self
        newest.newer = end.older = node
        self.count += 1
        self.bytes += node.size

    def remove(self, node: Node) -> None:
        node.older.newer, node.newer.older = node.newer, node.older
        del node.older, node.newer
        node.queue = None
        self.count -= 1
        self.bytes -= node.size

    def replace(self, old: Node, new: Node) -> None:
        """The new one stands where the old one stood."""
        new.older, new.newer, new.queue = old.older, old.newer, self
        new.older.newer = new.newer.older = new
        del old.older, old.newer
        old.queue = None
        self.bytes += new.size - old.size


class S3Fifo:
    """The two queues and the ghosts. `small.bytes + main.bytes` and the counts never exceed the bounds.

    A put costs O(1) amortised: a node that moves on in the main queue pays with a hit, a promoted one with two.
    Ghosts are no more than the nodes, once a put has ended, so that a node's size can pay for a ghost.
    """

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.largest = max_bytes // PARTS if max_entries > 0 else -1
        """What one entry may take. Beyond the small queue's part it would push out what has proven itself."""
        self.small = Queue()
        self.main = Queue()
        self.ghosts: OrderedDict[int, None] = OrderedDict()

    def put(self, node: Node) -> None:
        """Evicts until there is room, then lets the node in, which must not be larger than `largest`."""
        mark = node.mark()
        known = mark in self.ghosts
        if known:
            del self.ghosts[mark]
        self._make_room(1, node.size)
        (self.main if known else self.small).append(node)
        self._trim_ghosts()

    def replace(self, old: Node, new: Node) -> None:
        """The same key with another value: it keeps its place and its hits."""
        if old.queue is None:
            self.put(new)
            return
        new.hits = old.hits
        old.queue.replace(old, new)
        self._make_room(0, 0)
        self._trim_ghosts()

    def _make_room(self, entries: int, size: int) -> None:
        small, main = self.small, self.main
        while True:
            if small.bytes + main.bytes + size > self.max_bytes:
                main_is_full = main.bytes * PARTS > self.max_bytes * (PARTS - 1)
            elif small.count + main.count + entries > self.max_entries:
                main_is_full = main.count * PARTS > self.max_entries * (PARTS - 1)
            else:
                return
            if main_is_full or not small.count:
                self._evict_from_main()
            else:
                self._promote_or_evict()

    def _promote_or_evict(self) -> None:
        node = self.small.oldest
        self.small.remove(node)
        if node.hits >= PROMOTED_FROM:
            node.hits = 0
            self.main.append(node)
        else:
            self.ghosts[node.mark()] = None
            node.evicted()

    def _evict_from_main(self) -> None:
        main = self.main
        while (node := main.oldest).hits:
            node.hits -= 1
            main.remove(node)
            main.append(node)
        main.remove(node)
        node.evicted()

    def _trim_ghosts(self) -> None:
        most = self.small.count + self.main.count
        while len(self.ghosts) > most:
            self.ghosts.popitem(last=False)
