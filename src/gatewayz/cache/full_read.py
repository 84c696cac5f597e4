"""The read that takes more than one reply: of large values, of rubbish, of what nothing is known of yet, and of values
that died with their entity or with a tag.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from gatewayz.cache import scripts
from gatewayz.cache.budgets import Budgets
from gatewayz.cache.calls import Calls, Heard
from gatewayz.cache.codec import Rubbish, opened
from gatewayz.cache.learning import Learning
from gatewayz.cache.memory import Shelf
from gatewayz.cache.nodes import Node
from gatewayz.cache.reading import Question, Reading
from gatewayz.cache.redis_keys import RedisKeys
from gatewayz.cache.replies import Dead, Judgement, Unread, judged, read_call, stamp_in, value_in, was_rubbish
from gatewayz.cache.scope import Held, Scopes, hold, name_of_tag

V = TypeVar("V")

ROUNDS = 4
"""What dies so often while it is read counts as not there."""


class FullRead:
    def __init__(self, calls: Calls, keys: RedisKeys, scopes: Scopes, learning: Learning, budgets: Budgets) -> None:
        self._calls = calls
        self._keys = keys
        self._scopes = scopes
        self._learning = learning
        self._budgets = budgets

    async def read(self, shelf: Shelf[V], questions: Sequence[Question]) -> list[Reading[V] | None]:
        whole = await self._whole(shelf)
        if whole is None:
            return [None] * len(questions)
        if len(questions) == 1:
            return [await self._read(shelf, questions[0], whole)]
        return list(await asyncio.gather(*(self._read(shelf, question, whole) for question in questions)))

    async def _read(self, shelf: Shelf[V], question: Question, whole: Held | None) -> Reading[V] | None:
        key = self._keys.entry(shelf.entity, question.text)
        budget = self._budgets.of(shelf.entity)
        for _ in range(ROUNDS):
            node = self._calls.nodes.of(key)
            whole = whole or await self._whole(shelf)
            if whole is None:
                return None
            heard = await self._calls.run(node, [read_call(key, question, lease=self._budgets.lease)], budget)
            if heard is None or heard.replies[0] is None:
                return None
            if not hold((whole,)):  # Redis told of it before it answered: what is judged by it may be dead
                whole = None
                continue
            stamp = stamp_in(heard.replies[0])
            try:
                judgement = await self._judged(node, key, question, whole, heard)
                if isinstance(judgement, Reading) and judgement.envelope is not None:
                    judgement.value = await shelf.codec.value(judgement.envelope)
            except Rubbish:
                self._calls.errors["rubbish"] += 1
                await self._calls.run(node, [scripts.call(scripts.DISCARD, key, stamp)], self._budgets.answer)
                judgement = Dead(stamp)
            if not isinstance(judgement, Dead):
                return judgement if isinstance(judgement, Reading) else None
            question = replace(question, dead=judgement.stamp)
            whole = None
        return None

    async def _judged(self, node: Node, key: str, question: Question, whole: Held, heard: Heard) -> Judgement | None:
        """Raises Rubbish."""
        (reply,), order = heard.replies, heard.order
        if was_rubbish(reply):
            self._calls.errors["wrong_type"] += 1
        judgement = judged(reply, question.lease, whole, self._scopes.known_tag, order)
        if judgement is Unread.TOO_LARGE:
            large = await self._calls.run(
                node, [read_call(key, question, lease=self._budgets.lease, most=0)], self._budgets.large, over=node.bulk
            )  # fmt: skip
            if large is None or large.replies[0] is None:
                return None
            (reply,) = large.replies
            judgement = judged(reply, question.lease, whole, self._scopes.known_tag, order)
        if judgement is Unread.UNKNOWN_TAGS:
            tags = opened(value_in(reply)).life.tags
            learned = await self._learning.learn([self._scopes.tag(tag) for tag in tags])
            if learned is None:
                return None
            judgement = judged(reply, question.lease, whole, lambda tag: learned.get(name_of_tag(tag)), order)
        return judgement

    async def _whole(self, shelf: Shelf[V]) -> Held | None:
        scope = self._scopes.entity(shelf.entity.name)
        learned = await self._learning.learn([scope])
        return learned[scope.name] if learned is not None else None
