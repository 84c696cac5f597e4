"""Whether the whole of a worker's memory is in order, asked after every step of a test."""

from itertools import pairwise

from gatewayz.cache.cache import Cache
from gatewayz.cache.s3fifo import MOST_HITS, Node, Queue, S3Fifo


def checked_queues(queues: S3Fifo) -> list[Node]:
    """All nodes, after the rules of both queues, of their sums and of the bounds were found kept."""
    nodes = [*checked_queue(queues.small), *checked_queue(queues.main)]
    assert len(nodes) <= max(0, queues.max_entries)
    assert sum(node.size for node in nodes) <= queues.max_bytes
    assert all(node.size <= queues.largest for node in nodes)
    return nodes


def checked_queue(queue: Queue) -> list[Node]:
    nodes = list(queue)
    assert len({id(node) for node in nodes}) == len(nodes) == queue.count
    assert sum(node.size for node in nodes) == queue.bytes
    assert all(node.queue is queue and 0 <= node.hits <= MOST_HITS for node in nodes)
    assert all(older is newer.older for older, newer in pairwise(nodes))
    return nodes


def checked_memory(cache: Cache) -> None:
    """The shelves hold exactly what stands in the queues, and what is large beside them."""
    queued = {id(node) for node in checked_queues(cache._memory.queues)}
    bounded = 0
    for shelf in cache._shelves.values():
        assert shelf.bytes == sum(entry.size for entry in shelf.entries.values())
        for text, entry in shelf.entries.items():
            assert (entry.shelf, entry.text) == (shelf, text)
            assert (id(entry) in queued) is not shelf.entity.large
        bounded += 0 if shelf.entity.large else len(shelf.entries)
    assert bounded == len(queued)
