"""Values that were loaded, into Redis: only if nothing of them was invalidated since before their load."""

import secrets
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from msgspec import Struct

from gatewayz.cache import scripts
from gatewayz.cache.budgets import Budgets
from gatewayz.cache.calls import Calls
from gatewayz.cache.clock import Clock
from gatewayz.cache.codec import Envelope, sealed
from gatewayz.cache.entity import Entity
from gatewayz.cache.learning import Learning
from gatewayz.cache.memory import Shelf
from gatewayz.cache.nodes import Node
from gatewayz.cache.reading import Fill, Filled, Question
from gatewayz.cache.redis_keys import RedisKeys
from gatewayz.cache.replies import LARGEST_IN_LINE, read_call, stamp_in
from gatewayz.cache.scope import Held, Scopes, hold, name_of_tag
from gatewayz.cache.wire.exchange import Command

TAG_BEGINS_BEFORE = 600_000_000
"""Microseconds. A tag that Redis does not know begins so long before the load that brings it up, so that other loads
under way at that moment count as begun after it.
"""


class _Prepared(Struct, frozen=True):
    fill: Fill
    key: str
    stamp: bytes
    command: Command
    size: int
    tags: tuple[Held, ...]


class Fills:
    def __init__(  # noqa: PLR0917  the parts, as the tier has them
        self, calls: Calls, keys: RedisKeys, scopes: Scopes, learning: Learning, budgets: Budgets, clock: Clock
    ) -> None:
        self._calls = calls
        self._keys = keys
        self._scopes = scopes
        self._learning = learning
        self._budgets = budgets
        self._clock = clock
        self._me = secrets.token_hex(9).encode()
        self._counter = count()

    async def fill(self, shelf: Shelf[Any], fills: Sequence[Fill]) -> list[Filled]:
        """In the order of the fills."""
        known = await self._tags_of(fills)
        if known is None:
            return [Filled(None, fill.reading.order) for fill in fills]
        filled: dict[int, Filled] = {}
        prepared: dict[int, _Prepared] = {}
        for index, fill in enumerate(fills):
            tags = tuple(known[name_of_tag(tag)] for tag in fill.life.tags)
            if overtaken := _overtaken(fill, tags):
                filled[index] = overtaken
            else:
                prepared[index] = self._prepared(shelf.entity, fill, tags)
        indices = list(prepared)
        for node, some in self._calls.by_node([prepared[index].key for index in indices]):
            for is_bulk in (False, True):
                group = [indices[n] for n in some if (prepared[indices[n]].size > LARGEST_IN_LINE) is is_bulk]
                if group:
                    outcomes = await self._fill(node, shelf, [prepared[index] for index in group], is_bulk=is_bulk)
                    filled.update(zip(group, outcomes, strict=True))
        return [filled[index] for index in range(len(fills))]

    async def _tags_of(self, fills: Sequence[Fill]) -> Mapping[str, Held] | None:
        tags = dict.fromkeys(tag for fill in fills for tag in fill.life.tags)
        if not tags:
            return {}
        restart = min(fill.reading.since for fill in fills) - TAG_BEGINS_BEFORE
        return await self._learning.learn([self._scopes.tag(tag) for tag in tags], restart=b"%d" % restart)

    def _prepared(self, entity: Entity[Any, Any], fill: Fill, tags: tuple[Held, ...]) -> _Prepared:
        reading, key = fill.reading, self._keys.entry(entity, fill.text)
        stamp = b"%s:%s%d" % (reading.whole.generation, self._me, next(self._counter))
        envelope = sealed(Envelope(fill.life, fill.zipped, fill.payload, tuple(held.generation for held in tags)))
        expected = b"*" if fill.over else reading.stamp
        lasts = max(1, int((fill.life.stale_until - self._clock.now()) * 1000))
        command = scripts.call(scripts.FILL, key, reading.generation, expected, stamp, envelope, lasts)
        return _Prepared(fill, key, stamp, command, len(envelope), tags)

    async def _fill(
        self, node: Node, shelf: Shelf[Any], prepared: Sequence[_Prepared], *, is_bulk: bool
    ) -> list[Filled]:  # fmt: skip
        budget = self._budgets.large if is_bulk else self._budgets.of(shelf.entity)
        commands = [each.command for each in prepared]
        heard = await self._calls.run(node, commands, budget, over=node.bulk if is_bulk else None)
        if heard is None:
            return [Filled(None, each.fill.reading.order) for each in prepared]
        orders = await self._orders_of(node, prepared) if is_bulk else [heard.order] * len(prepared)
        return [
            Filled(_outcome(each, reply), order, each.tags)
            for each, reply, order in zip(prepared, heard.replies, orders, strict=True)
        ]

    async def _orders_of(self, node: Node, prepared: Sequence[_Prepared]) -> list[int]:
        """Have the main connection told of changes of what was filled over the other one."""
        commands = [read_call(each.key, Question(each.fill.text, stamp=each.stamp), lease=0) for each in prepared]
        heard = await self._calls.run(node, commands, self._budgets.answer)
        replies = heard.replies if heard is not None else [None] * len(prepared)
        return [
            heard.order if heard is not None and reply is not None and stamp_in(reply) == each.stamp else
            each.fill.reading.order
            for each, reply in zip(prepared, replies, strict=True)
        ]  # fmt: skip


def _overtaken(fill: Fill, tags: tuple[Held, ...]) -> Filled | None:
    """The refusal, if a tag was invalidated after the load began, or if the source was behind such an invalidation. The
    tags are known only now, so their generations tell by their size, which is the server's time.
    """
    floor = max((held.floor for held in tags), default=0)
    began_before = any(int(held.generation) > fill.reading.since for held in tags)
    is_behind = fill.position is not None and fill.position < floor
    return Filled(b"", fill.reading.order, floor=floor) if began_before or is_behind else None


def _outcome(prepared: _Prepared, reply: bytes | None) -> bytes | None:
    if reply == b"invalidated" or not hold((prepared.fill.reading.whole, *prepared.tags)):
        return b""
    return prepared.stamp if reply == b"filled" else None
