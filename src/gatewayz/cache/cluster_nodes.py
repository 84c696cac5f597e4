"""The servers of a Redis Cluster: one ordered connection to each primary, and which of them has a key."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hiredis import ReplyError
from msgspec import Struct
from msgspec.structs import replace
from redis.crc import key_slot

from gatewayz.cache.clock import Clock
from gatewayz.cache.cluster_view import ASK_VIEW, SLOTS, Address, View, view_of
from gatewayz.cache.nodes import ROUND, Ears, Node, is_demoted, node_at, still_the_same
from gatewayz.cache.takeovers import MOST_HOPS, Takeovers
from gatewayz.cache.wire.endpoint import Dial, Endpoint
from gatewayz.cache.wire.errors import WireError
from gatewayz.cache.wire.exchange import Exchange, Order
from gatewayz.cache.wire.redirects import Elsewhere, ask_elsewhere, redirect_of
from gatewayz.cache.wire.standing import Standing
from gatewayz.cache.wire.wire import Wire

SEEN_WITHIN = 0.5
LOOK_AGAIN = 0.05
ASKED_AT_ONCE = 3
KEPT_FOR = 2.0  # seconds in which a server that has lost its slots may still answer
MOST_OUTDATED = 5


class Cluster(Struct, frozen=True):
    """Any servers of one cluster, and how to speak to all of them. A replica is never read."""

    seeds: tuple[Address, ...]
    like: Dial

    def nodes(
        self, ears: Ears, *, clock: Clock, rng: random.Random, texts: Mapping[str, str]
    ) -> "ClusterNodes":  # fmt: skip
        return ClusterNodes(self, ears, clock=clock, rng=rng, texts=texts)


class ClusterNodes:
    """Until a server has told which of them has what, all keys are asked of the first seed, which sends us on.

    Whenever a slot has another server, all of memory is doubted: the one before tells of no change of its keys any
    more. Whoever takes a slot over is first told what was invalidated in the last seconds.
    """

    def __init__(
        self, cluster: Cluster, ears: Ears, *, clock: Clock, rng: random.Random, texts: Mapping[str, str]
    ) -> None:  # fmt: skip
        self.order = Order()
        self._cluster = cluster
        self._ears = ears
        self._clock = clock
        self._rng = rng
        self._texts = texts
        self._takeovers = Takeovers(ears)
        self._slots: list[Node | None] = [None] * SLOTS
        self._nodes: dict[Address, Node] = {}
        self._places: dict[Wire, tuple[Address, Node]] = {}
        self._view: View | None = None
        self._outdated = 0
        self._seed = 0
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._retiring: dict[Address, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, key: str) -> Node:
        return self._slots[key_slot(key.encode())] or self._seed_node()

    def known(self) -> Iterable[Node]:
        return list(self._nodes.values()) or [self._seed_node()]

    def histories(self) -> str:
        of_each = [self._takeovers.history(node.main) for node in self._members()]
        return ",".join(sorted(each or "" for each in of_each)) if all(of_each) else ""

    def open(self) -> None:
        self._seed_node().open()
        self._keep()

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None
        for timer in self._retiring.values():
            timer.cancel()
        for node in self._nodes.values():
            await node.close()
        if self._closing:
            await asyncio.wait(set(self._closing))

    def admit(self, standing: Standing) -> None:
        """A replica may tell where the primaries are; asked for a key, it sends us there."""

    def joined(self, wire: Wire, standing: Standing) -> Exchange[Any] | None:
        self._keep()
        _, node = self._places[wire]
        if wire is node.main and self._takeovers.history(node.bulk) != standing.history:
            node.bulk.leave()
        return self._takeovers.joined(wire, standing, lambda key: self.of(key) is node)

    def refused(self, wire: Wire, exchange: Exchange[Any]) -> bool:
        """Ask elsewhere what belongs elsewhere, three times at most."""
        (host, _), former = self._places[wire]
        elsewhere: dict[tuple[Address, bool], list[int]] = {}
        for index, reply in enumerate(exchange.replies):
            redirect = redirect_of(reply)
            if redirect is None:
                if _is_unsettled(reply):
                    self._wanted.set()
                continue
            address = redirect.host or host, redirect.port
            elsewhere.setdefault((address, redirect.once), []).append(index)
            if not redirect.once:
                self._learn(redirect.slot, self._node(address))
        if not elsewhere or exchange.hops >= MOST_HOPS:
            return False
        nodes = [(self._node(address), once, indexes) for (address, once), indexes in elsewhere.items()]
        is_bulk = wire is former.bulk
        parts = [Elsewhere(node.bulk if is_bulk else node.main, once, indexes) for node, once, indexes in nodes]
        ask_elsewhere(exchange, parts, self._texts)
        return True

    def _learn(self, slot: int, node: Node) -> None:
        before = self._slots[slot]
        if before is node:
            return
        self._slots[slot] = node
        self._wanted.set()
        if before is not None:
            self._changed({node: {slot}})

    def _changed(self, gained: dict[Node, set[int]]) -> None:
        self.order.now += 1
        self._ears.missed()
        for node, slots in gained.items():
            for wire in (node.main, node.bulk):
                self._takeovers.gained(wire, _in(slots))

    def _keep(self) -> None:
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep_looking(), name="cache cluster rounds")

    async def _keep_looking(self) -> None:
        """Every second, and soon after anything was out of place, however often."""
        pause = LOOK_AGAIN
        while True:
            self._wanted.clear()
            seen = await self._look()
            if seen and await self._all_the_same():
                self._ears.confirmed()
            await asyncio.sleep(pause)
            pause = LOOK_AGAIN if seen else min(2 * pause, ROUND)
            if seen:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ROUND):
                        await self._wanted.wait()

    async def _look(self) -> bool:
        candidates = [*self._candidates()]
        for first in range(0, len(candidates), ASKED_AT_ONCE):
            some = candidates[first : first + ASKED_AT_ONCE]
            views = [view for view in await asyncio.gather(*map(self._seen_by, some)) if view is not None]
            if views:
                return self._take(max(views, key=lambda view: view.epoch))
        self._seed = (self._seed + 1) % len(self._cluster.seeds)
        return False

    def _candidates(self) -> Iterator[Node]:
        """Those that are connected come first; then all others, and one seed."""
        nodes = list(self._nodes.values())
        self._rng.shuffle(nodes)
        yield from (node for node in nodes if node.main.is_connected)
        yield from (node for node in nodes if not node.main.is_connected)
        seed = self._seed_node()
        if seed not in nodes:
            yield seed

    async def _seen_by(self, node: Node) -> View | None:
        (host, _), _ = self._places[node.main]
        try:
            return await node.main.ask(ASK_VIEW, within=SEEN_WITHIN, then=lambda replies, _: view_of(replies, host))
        except WireError:
            return None

    def _take(self, view: View) -> bool:
        """False where it is older than what is known, unless that is all there is to see."""
        if self._view is not None and view.epoch < self._view.epoch and self._outdated < MOST_OUTDATED:
            self._outdated += 1
            return False
        self._outdated = 0
        self._view = view
        owners = {each.primary: self._node(each.primary) for each in view.ranges}
        gained: dict[Node, set[int]] = {}
        has_moved = False
        for each in view.ranges:
            node = owners[each.primary]
            for slot in range(each.first, each.last + 1):
                before = self._slots[slot]
                if before is not node:
                    self._slots[slot] = node
                    gained.setdefault(node, set()).add(slot)
                    has_moved = has_moved or before is not None
        if has_moved:
            self._changed(gained)
        self._keep_only(owners)
        return True

    def _keep_only(self, owners: dict[Address, Node]) -> None:
        for address, node in owners.items():
            node.open()
            if (timer := self._retiring.pop(address, None)) is not None:
                timer.cancel()
        loop = asyncio.get_running_loop()
        for address in self._nodes.keys() - owners.keys() - self._retiring.keys():
            self._retiring[address] = loop.call_later(KEPT_FOR, self._retire, address)

    def _retire(self, address: Address) -> None:
        del self._retiring[address]
        node = self._nodes.pop(address)
        for wire in (node.main, node.bulk):
            self._takeovers.forget(wire)
        closing = asyncio.get_running_loop().create_task(self._close(node))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close(self, node: Node) -> None:
        await node.close()
        del self._places[node.main], self._places[node.bulk]

    async def _all_the_same(self) -> bool:
        return all(await asyncio.gather(*(still_the_same(node, self._takeovers) for node in self._members())))

    def _members(self) -> list[Node]:
        return [node for address, node in self._nodes.items() if address not in self._retiring]

    def _seed_node(self) -> Node:
        return self._node(self._cluster.seeds[self._seed])

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:

            async def dial() -> Endpoint:
                return replace(await self._cluster.like(), host=address[0], port=address[1], path=None, db=0)

            ears = _Neighbour(self._ears, self._wanted)
            node = self._nodes[address] = node_at(
                dial, self.order, ears, self, clock=self._clock, rng=self._rng, texts=self._texts
            )
            self._places[node.main] = self._places[node.bulk] = address, node
        return node


class _Neighbour:
    """Hears one server. When its link breaks, others may have taken over."""

    def __init__(self, ears: Ears, wanted: asyncio.Event) -> None:
        self._ears = ears
        self._wanted = wanted
        self.wants_changes = ears.wants_changes
        self.pushed = ears.pushed
        self.repeated = ears.repeated
        self.confirmed = ears.confirmed

    def missed(self) -> None:
        self._wanted.set()
        self._ears.missed()


def _in(slots: set[int]) -> Callable[[str], bool]:
    return lambda key: key_slot(key.encode()) in slots


def _is_unsettled(reply: object) -> bool:
    unsettled = ("CLUSTERDOWN", "TRYAGAIN", "LOADING")
    return is_demoted(reply) or (type(reply) is ReplyError and str(reply).startswith(unsettled))
