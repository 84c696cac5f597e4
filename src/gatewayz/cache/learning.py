"""The generations of scopes, asked of Redis."""

import asyncio
import functools
from collections.abc import Sequence

from gatewayz.cache import scripts
from gatewayz.cache.calls import Calls, Heard
from gatewayz.cache.nodes import Node
from gatewayz.cache.redis_keys import RedisKeys
from gatewayz.cache.scope import Held, Scope, tag_of, told_of

TAG_LASTS = 30 * 24 * 3600.0
"""Seconds for which a tag is remembered. Then entries with it die early, and never late."""


def lasts(name: str) -> int:
    """Milliseconds for which Redis keeps a scope; 0: for ever."""
    return 0 if tag_of(name) is None else int(TAG_LASTS * 1000)


class Learning:
    def __init__(self, calls: Calls, keys: RedisKeys, budget: float) -> None:
        self._calls = calls
        self._keys = keys
        self._budget = budget

    async def learn(self, scopes: Sequence[Scope], *, restart: bytes = b"") -> dict[str, Held] | None:
        """What Redis says of these scopes, by their names; None if it does not answer. A scope that is missing begins
        with the generation `restart`, or with one that was never given out.
        """
        known = {scope.name: scope.held for scope in scopes if scope.held is not None}
        asked = [scope for scope in scopes if scope.held is None]
        if not asked:
            return known
        keys = [self._keys.scope(scope.name) for scope in asked]
        parts = [
            self._learn(node, [asked[index] for index in indices], [keys[index] for index in indices], restart)
            for node, indices in self._calls.by_node(keys)
        ]
        for learned in await asyncio.gather(*parts) if len(parts) > 1 else [await parts[0]]:
            if learned is None:
                return None
            known.update(learned)
        return known

    async def _learn(
        self, node: Node, scopes: Sequence[Scope], keys: Sequence[str], restart: bytes
    ) -> dict[str, Held] | None:
        epochs = [scope.epoch for scope in scopes]
        commands = [
            scripts.call(scripts.SCOPE, key, restart, lasts(scope.name))
            for scope, key in zip(scopes, keys, strict=True)
        ]
        learned: dict[str, Held] = {}
        heard = await self._calls.run(
            node, commands, self._budget, then=functools.partial(_learn, node, scopes, epochs, learned)
        )
        return learned if heard is not None and len(learned) == len(scopes) else None


def _learn(node: Node, scopes: Sequence[Scope], epochs: Sequence[int], learned: dict[str, Held], heard: Heard) -> None:
    """Remember what holds until we are told otherwise, unless we were since we asked: by Redis, or by ourselves, which
    Redis does not tell us again.
    """
    for scope, epoch, reply in zip(scopes, epochs, heard.replies, strict=True):
        held = told_of(scope, epoch, reply)
        if held is not None:
            learned[scope.name] = held
            if scope.epoch == epoch and node.main.is_tracking:
                scope.held = held
