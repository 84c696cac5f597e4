"""The tier shared by all workers, in Redis. Whatever Redis does, no caller sees an error: the answer is "nothing"."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis

from gatewayz.cache import scripts
from gatewayz.cache.budgets import Budgets
from gatewayz.cache.calls import Calls
from gatewayz.cache.cascade import Target
from gatewayz.cache.census import Census, Censuses
from gatewayz.cache.clock import Clock
from gatewayz.cache.entity import Entity
from gatewayz.cache.fills import Fills
from gatewayz.cache.full_read import FullRead
from gatewayz.cache.learning import Learning, lasts
from gatewayz.cache.memory import Shelf
from gatewayz.cache.nodes import Node, Several, reached
from gatewayz.cache.quick_read import QuickRead
from gatewayz.cache.reading import Fill, Filled, Question, Reading
from gatewayz.cache.recent import Recent
from gatewayz.cache.redis_keys import RedisKeys
from gatewayz.cache.replies import BARE_LASTS
from gatewayz.cache.scope import Scopes
from gatewayz.cache.seen import Looks, Seen
from gatewayz.cache.wire.endpoint import Dial
from gatewayz.cache.wire.exchange import Command

V = TypeVar("V")

REFRESH_LEASE = 30.0


class RedisTier:
    """Leads where `redis` leads, over connections of its own. A call takes the budget at most, then the server's
    breaker passes it by. A read takes one round trip, and one more for values above 64 KB, for the first value of an
    entity or of a tag, and for a value that has died with either.
    """

    wants_changes = True

    def __init__(
        self,
        redis: Redis | Dial | Several,
        scopes: Scopes,
        *,
        prefix: str,
        clock: Clock,
        rng: random.Random,
        budgets: Budgets,
    ) -> None:
        self.keys = RedisKeys(prefix)
        self._scopes = scopes
        self._budgets = budgets
        self._on_change: Callable[[bytes | None], None] = _unheard
        self.recent = Recent(clock.monotonic)
        self._nodes = reached(redis, self, clock=clock, rng=rng)
        self.calls = Calls(self._nodes, probe_within=budgets.answer)
        learning = Learning(self.calls, self.keys, budgets.answer)
        self.quick = QuickRead(self.calls, self.keys, scopes, budgets)
        self._full_read = FullRead(self.calls, self.keys, scopes, learning, budgets)
        self._looks = Looks(self.calls, self.keys, budgets.large)
        self._fills = Fills(self.calls, self.keys, scopes, learning, budgets, clock)

    @property
    def lease(self) -> float:
        """Seconds that a lease on a load lasts."""
        return self._budgets.lease

    def listen(self, on_change: Callable[[bytes | None], None]) -> None:
        """Call back, between the replies, for each key that was read here and has changed since; with None where any
        may have.
        """
        self._on_change = on_change

    @property
    def order(self) -> int:
        """How many changes this worker has been told of, and how often it may have missed some."""
        return self._nodes.order.now

    @property
    def histories(self) -> str:
        """What tells the servers that this worker asks from others; "" where that is not known."""
        return self._nodes.histories()

    @property
    def is_linked(self) -> bool:
        """Whether there is a link to any server."""
        return any(node.main.is_connected for node in self._nodes.known())

    def open(self) -> None:
        """Connect in the background; otherwise the first command does."""
        self._nodes.open()

    async def close(self) -> None:
        await self._nodes.close()

    async def read(self, shelf: Shelf[V], questions: Sequence[Question]) -> list[Reading[V] | None]:
        """One reading per question, each None where Redis did not answer. Rubbish is deleted, counted, and read as
        nothing.
        """
        return await self._full_read.read(shelf, questions)

    async def fill(self, shelf: Shelf[Any], fills: Sequence[Fill]) -> list[Filled]:
        return await self._fills.fill(shelf, fills)

    async def invalidate(
        self, targets: Sequence[Target], named: Callable[[str], Entity[Any, Any]], floor: int = 0
    ) -> int | None:
        """How many values of single keys died, or None when Redis did not take it all: then it must be repeated."""
        self.recent.note(targets, floor)
        for target in targets:
            if target.text is None:
                self._scopes.bump(target.name)
        keys = [
            self.keys.scope(target.name) if target.text is None else self.keys.entry(named(target.name), target.text)
            for target in targets
        ]
        parts = [
            self._invalidate(node, [(targets[index], keys[index]) for index in indices], floor)
            for node, indices in self.calls.by_node(keys)
        ]
        died = await asyncio.gather(*parts)
        return None if None in died else sum(each for each in died if each is not None)

    async def _invalidate(self, node: Node, targets: Sequence[tuple[Target, str]], floor: int) -> int | None:
        commands = [_invalidation(target, key, floor) for target, key in targets]
        heard = await self.calls.run(node, commands, self._budgets.large)
        if heard is None or None in heard.replies:
            return None
        return sum(reply for reply in heard.replies if type(reply) is int)

    async def give_back(self, shelf: Shelf[Any], leases: Sequence[tuple[str, bytes, str]]) -> None:
        """End leases on loads that filled nothing, by text, token and why the load failed: whoever waits is told at
        once.
        """
        keys = [self.keys.entry(shelf.entity, text) for text, _, _ in leases]
        for node, indices in self.calls.by_node(keys):
            commands = [scripts.call(scripts.GIVE_BACK, keys[index], *leases[index][1:]) for index in indices]
            await self.calls.run(node, commands, self._budgets.answer)

    async def lease_refresh(self, shelf: Shelf[Any], text: str, token: bytes) -> bool | None:
        """Whether this is the one worker that may refresh now; None if Redis does not answer."""
        key = self.keys.refresh(shelf.entity, text)
        command: Command = ("SET", key, token, "NX", "PX", int(REFRESH_LEASE * 1000))
        heard = await self.calls.run(self._nodes.of(key), [command], self._budgets.answer)
        return heard.replies[0] is not None if heard is not None else None

    async def release_refresh(self, shelf: Shelf[Any], text: str, token: bytes) -> None:
        key = self.keys.refresh(shelf.entity, text)
        await self.calls.run(self._nodes.of(key), [scripts.call(scripts.RELEASE, key, token)], self._budgets.answer)

    async def see(self, shelf: Shelf[Any], text: str) -> Seen | None:
        """What stands under a key now: nothing is leased, written, or registered. None where Redis does not answer."""
        return await self._looks.see(shelf.entity, text)

    async def census(self, names: Iterable[str]) -> Census | None:
        """How much of these entities the servers hold, estimated. None where one does not answer."""
        return await Censuses(self.calls, self.keys, names, self._budgets.large).take()

    def is_left_alone(self, shelf: Shelf[Any], text: str) -> bool:
        """Whether the server that has the key is not asked at present, because it failed or was too slow."""
        return self._looks.is_left_alone(shelf.entity, text)

    def pushed(self, push: list[Any]) -> None:
        """Called by the main connections, inside their parsers."""
        if push[0] == b"invalidate":
            for key in push[1] or [None]:
                self._changed(key)

    def missed(self) -> None:
        """Called by the main connections where pushes may have been missed."""
        self._changed(None)

    def repeated(self, is_there: Callable[[str], bool]) -> list[Command]:
        """For a server that has taken over those keys."""
        found = [(target, floor, self._key_of(target)) for target, floor in self.recent.targets()]
        return [_invalidation(target, key, floor) for target, floor, key in found if is_there(key)]

    def confirmed(self) -> None:
        """Called when all servers are those that they were."""
        self.recent.confirm()

    def _key_of(self, target: Target) -> str:
        if target.text is None:
            return self.keys.scope(target.name)
        return self.keys.entry_of(target.name, target.text)

    def _changed(self, key: bytes | None) -> None:
        if key is None:
            self._scopes.bump_all()
        self._on_change(key)


def _invalidation(target: Target, key: str, floor: int) -> Command:
    if target.text is None:
        cutoff = repr(target.before) if target.before else ""
        return scripts.call(scripts.BUMP, key, floor, cutoff, lasts(target.name))
    return scripts.call(scripts.INVALIDATE, key, int(BARE_LASTS * 1000), floor)


def _unheard(_key: bytes | None) -> None:
    """Stands where nobody listens yet."""
