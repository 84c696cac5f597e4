"""Which Redis server has a key, and how it is reached."""

import asyncio
import contextlib
import functools
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from hiredis import ReplyError
from redis.asyncio import Redis

from gatewayz.cache import scripts
from gatewayz.cache.breaker import Breaker
from gatewayz.cache.clock import Clock
from gatewayz.cache.takeovers import Takeovers
from gatewayz.cache.wire.endpoint import Dial, dial_like
from gatewayz.cache.wire.errors import NotConnected, WireError
from gatewayz.cache.wire.exchange import Command, Exchange, Order
from gatewayz.cache.wire.standing import ASK_STANDING, Standing, standing_of
from gatewayz.cache.wire.wire import Overseer, Wire

MOST_BULK_BYTES = 64 * 1024 * 1024
ROUND = 1.0  # a server that no longer leads is left after so many seconds, if nothing tells of it before


class Node:
    """One server: `main` is the ordered connection that replies and changes share, `bulk` another one for large values,
    `breaker` what is known of how it answers.
    """

    def __init__(self, main: Wire, bulk: Wire, breaker: Breaker) -> None:
        self.main = main
        self.bulk = bulk
        self.breaker = breaker

    def open(self) -> None:
        self.main.open()

    def leave(self) -> None:
        """Break the links: the next lead to where the dial says then."""
        self.main.leave()
        self.bulk.leave()

    async def close(self) -> None:
        await self.main.close()
        await self.bulk.close()


class Nodes(Protocol):
    """All servers of one Redis. `order` is shared by their main connections."""

    order: Order

    def of(self, key: str) -> Node:
        """The server that has the key, as far as is known now."""
        ...

    def known(self) -> Iterable[Node]: ...

    def histories(self) -> str:
        """What tells these servers from others, and from themselves before a failover; "" where that is not known."""
        ...

    def open(self) -> None:
        """Connect in the background; otherwise the first command does."""
        ...

    async def close(self) -> None: ...


class Ears(Protocol):
    """Hears the main connections, inside their parsers. `wants_changes`: Redis is to tell of them at all."""

    @property
    def wants_changes(self) -> bool: ...

    def pushed(self, push: list[Any]) -> None: ...

    def missed(self) -> None:
        """Pushes may have been missed until now."""
        ...

    def repeated(self, is_there: Callable[[str], bool]) -> list[Command]:
        """What a server that has taken over must be told before it is asked: the invalidations of the last seconds, of
        those keys.
        """
        ...

    def confirmed(self) -> None:
        """All servers are those that they were."""
        ...


class OneNode:
    """A Redis that is a single server, or of which one server leads at a time: where `dial` leads."""

    def __init__(
        self, dial: Dial, ears: Ears, *, clock: Clock, rng: random.Random, texts: Mapping[str, str]
    ) -> None:  # fmt: skip
        self.order = Order()
        self._dial = dial
        self._ears = ears
        self._takeovers = Takeovers(ears)
        self._node = node_at(dial, self.order, ears, self, clock=clock, rng=rng, texts=texts)
        self._rounds: asyncio.Task[None] | None = None

    def of(self, key: str) -> Node:  # noqa: ARG002  it has every key
        return self._node

    def known(self) -> Iterable[Node]:
        return (self._node,)

    def histories(self) -> str:
        return self._takeovers.history(self._node.main) or ""

    def open(self) -> None:
        self._node.open()

    async def close(self) -> None:
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.wait({self._rounds})
            self._rounds = None
        await self._node.close()

    def admit(self, standing: Standing) -> None:
        if not standing.leads:
            raise NotConnected("this Redis is a replica, which may lag behind: name the primary, or Sentinel")

    def joined(self, wire: Wire, standing: Standing) -> Exchange[Any] | None:
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.get_running_loop().create_task(self._keep_asking(), name="cache redis rounds")
        first = self._takeovers.joined(wire, standing, lambda _key: True)
        bulk = self._node.bulk
        if wire is self._node.main and self._takeovers.history(bulk) != standing.history:
            bulk.leave()  # it may lead to the server before
        return first

    def refused(self, wire: Wire, exchange: Exchange[Any]) -> bool:
        if any(is_demoted(reply) for reply in exchange.replies):
            wire.leave()
        return False

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(ROUND)
            if self._node.main.is_connected and await self._still_leads():
                self._ears.confirmed()

    async def _still_leads(self) -> bool:
        main = self._node.main
        with contextlib.suppress(OSError, WireError):  # then nobody knows better
            wanted = await self._dial()
            if main.endpoint is not None and not wanted.is_at(main.endpoint):
                self._node.leave()
                return False
        return await still_the_same(self._node, self._takeovers)


async def still_the_same(node: Node, takeovers: Takeovers) -> bool:
    """Whether the server leads under the history that it had; else it is left. False, too, where it does not answer."""
    try:
        standing = await node.main.ask([ASK_STANDING], within=ROUND, then=lambda replies, _: _standing(replies[0]))
    except WireError:
        return False
    if not standing.leads or (standing.history is not None and standing.history != takeovers.history(node.main)):
        node.leave()
        return False
    return True


def _standing(info: object) -> Standing:
    return standing_of(None, info)


def is_demoted(reply: object) -> bool:
    return type(reply) is ReplyError and ("READONLY" in str(reply) or str(reply).startswith("MASTERDOWN"))


def node_at(
    dial: Dial,
    order: Order,
    ears: Ears,
    overseer: Overseer,
    *,
    clock: Clock,
    rng: random.Random,
    texts: Mapping[str, str],
) -> Node:
    """`texts`: scripts by their SHA1."""
    wire = functools.partial(Wire, dial, scripts=texts, rng=rng, overseer=overseer)
    on_push = ears.pushed if ears.wants_changes else None
    main = wire(name="gatewayz-cache", order=order, on_push=on_push, on_gap=ears.missed)
    return Node(main, wire(name="gatewayz-cache-bulk", most_bytes=MOST_BULK_BYTES), Breaker(clock))


@runtime_checkable
class Several(Protocol):
    """A Redis of more than one server."""

    def nodes(self, ears: Ears, *, clock: Clock, rng: random.Random, texts: Mapping[str, str]) -> Nodes: ...


def reached(
    redis: Redis | Dial | Several,
    ears: Ears,
    *,
    clock: Clock,
    rng: random.Random,
    texts: Mapping[str, str] = scripts.BY_SHA,
) -> Nodes:
    """The servers where this client's own connections lead, or where a dial does. `texts`: the scripts that are run, by
    their SHA1; the cache's own if nothing is said.
    """
    if isinstance(redis, Several):
        return redis.nodes(ears, clock=clock, rng=rng, texts=texts)
    return OneNode(dial_like(redis) if isinstance(redis, Redis) else redis, ears, clock=clock, rng=rng, texts=texts)
