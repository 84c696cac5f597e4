"""What stands in Redis under one key, looked at without touching it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gatewayz.cache import scripts
from gatewayz.cache.breaker import BreakerState
from gatewayz.cache.calls import Calls
from gatewayz.cache.codec import Envelope, Rubbish, opened
from gatewayz.cache.entity import Entity
from gatewayz.cache.redis_keys import RedisKeys
from gatewayz.cache.scope import Held, Scope, name_of_tag, told_of
from gatewayz.cache.wire.exchange import Command

MICROSECONDS = 1_000_000


class Seen(Struct, frozen=True, kw_only=True):
    """`generation`, `stamp`: empty where there is none. `envelope`: the value, dead or alive. `whole`: the scope of the
    entity; `tags`: those of the value's tags, by tag; None where Redis has lost one. `floor`: how far the source must
    have come. `load_leased_for`, `refresh_leased_for`: seconds for which some worker may load; 0: none may.
    `now`: Unix seconds of Redis' own clock. `is_rubbish`: what stands there is no value of a cache.
    """

    generation: bytes
    stamp: bytes
    envelope: Envelope | None
    whole: Held | None
    tags: dict[str, Held | None]
    floor: int
    load_leased_for: float
    refresh_leased_for: float
    now: float
    is_rubbish: bool

    def since(self, generation: bytes) -> float | None:
        """Seconds since this generation began, as far as it can tell: one is born as the server's microseconds."""
        return max(0.0, self.now - int(generation) / MICROSECONDS) if generation.isdigit() else None

    @property
    def is_alive(self) -> bool:
        """Whether there is a value and nothing that it hangs on was invalidated since it was filled."""
        return self.envelope is not None and self.is_of_this_generation and not self.is_too_old and not self.dead_tags

    @property
    def is_of_this_generation(self) -> bool:
        return self.whole is not None and self.stamp.startswith(self.whole.generation + b":")

    @property
    def is_too_old(self) -> bool:
        """Whether it was created before what was cleared by age."""
        return self.envelope is not None and self.whole is not None and self.envelope.life.created < self.whole.cutoff

    @property
    def dead_tags(self) -> list[str]:
        """Those of its tags that were invalidated, or lost, since it was filled."""
        if self.envelope is None:
            return []
        filled = dict(zip(self.envelope.life.tags, self.envelope.generations, strict=False))
        return [tag for tag, held in self.tags.items() if held is None or held.generation != filled.get(tag)]


class Looks:
    """`budget`: seconds for each of the two rounds that a look takes at most, over the connection for large values."""

    def __init__(self, calls: Calls, keys: RedisKeys, budget: float) -> None:
        self._calls = calls
        self._keys = keys
        self._budget = budget

    def is_left_alone(self, entity: Entity[Any, Any], text: str) -> bool:
        return self._calls.nodes.of(self._keys.entry(entity, text)).breaker.state is BreakerState.OPEN

    async def see(self, entity: Entity[Any, Any], text: str) -> Seen | None:
        """None where Redis does not answer."""
        entry, scope = self._keys.entry(entity, text), self._keys.scope(entity.name)
        refresh = self._keys.refresh(entity, text)
        replies = await self._ask(
            [(entry, scripts.call(scripts.SEE, entry)), (scope, ("GET", scope)), (refresh, ("PTTL", refresh))]
        )
        if replies is None or replies[0] is None:
            return None
        (generation, stamp, raw, held, floor, microseconds, rubbish), state, lease = replies
        try:
            envelope = opened(raw) if raw else None
        except Rubbish:
            envelope, rubbish = None, True
        tags = await self._tags(envelope.life.tags if envelope is not None else ())
        if tags is None:
            return None
        whole = told_of(Scope(entity.name), 0, state)
        return Seen(
            generation=generation,
            stamp=stamp,
            envelope=envelope,
            whole=whole,
            tags=tags,
            floor=max(int(floor), whole.floor if whole is not None else 0),
            load_leased_for=max(0, held) / 1000,
            refresh_leased_for=max(0, lease or 0) / 1000,
            now=int(microseconds) / MICROSECONDS,
            is_rubbish=bool(rubbish),
        )

    async def _tags(self, tags: Sequence[str]) -> dict[str, Held | None] | None:
        names = [name_of_tag(tag) for tag in tags]
        keys = [self._keys.scope(name) for name in names]
        replies = await self._ask([(key, ("GET", key)) for key in keys])
        if replies is None:
            return None
        return {tag: told_of(Scope(name), 0, reply) for tag, name, reply in zip(tags, names, replies, strict=True)}

    async def _ask(self, asked: Sequence[tuple[str, Command]]) -> list[Any] | None:
        """A reply for each key and command, None where one was refused; None if some server did not answer."""
        replies: list[Any] = [None] * len(asked)

        async def ask(indices: Sequence[int]) -> bool:
            node = self._calls.nodes.of(asked[indices[0]][0])
            heard = await self._calls.run(node, [asked[n][1] for n in indices], self._budget, over=node.bulk)
            for index, reply in zip(indices, heard.replies if heard is not None else (), strict=False):
                replies[index] = reply
            return heard is not None

        parts = self._calls.by_node([key for key, _ in asked]) if asked else []
        answered = await asyncio.gather(*(ask(indices) for _, indices in parts))
        return replies if all(answered) else None
