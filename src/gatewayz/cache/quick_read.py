"""The read that takes one reply, and no task: nearly every read of what Redis has."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from msgspec import Struct

from gatewayz.cache.budgets import Budgets
from gatewayz.cache.calls import Calls
from gatewayz.cache.codec import Rubbish
from gatewayz.cache.flight import Flight
from gatewayz.cache.memory import Shelf
from gatewayz.cache.nodes import Node
from gatewayz.cache.reading import Later, Question, Reading
from gatewayz.cache.redis_keys import LONGEST_TEXT, RedisKeys
from gatewayz.cache.replies import bare_read_form, judged, read_call, was_rubbish
from gatewayz.cache.scope import Scope, Scopes
from gatewayz.cache.wire.exchange import Exchange

V = TypeVar("V")

Told: TypeAlias = Callable[[Sequence[int], Sequence[Reading[V] | Later | None]], None]
"""Gets readings of the questions with these indices."""

MOST_TOGETHER = 32
"""Nobody waits for more replies than these, which come together anyway."""


ToldOne: TypeAlias = Callable[[Shelf[V], Flight[V], Reading[V] | Later | None], None]
"""Gets the reading for a flight."""


class _Kind(Struct, Generic[V], frozen=True, eq=False):
    """What is the same for all keys of an entity. `start`: with what they begin in Redis."""

    shelf: Shelf[V]
    scope: Scope
    budget: float
    start: str
    bare_read: bytes


_Asked: TypeAlias = tuple[_Kind[Any], Flight[Any], ToldOne[Any]]


class _Together(Struct, frozen=True, eq=False):
    """Reads of one turn of the loop that go out as one exchange, so that what each costs beside its own bytes is paid
    once.
    """

    exchange: Exchange[Any]
    budget: float
    asked: list[_Asked]


class QuickRead:
    """Readings are told inside the parser, before any later change is told of. Where Redis does not answer they are
    None, and where it takes more than one reply Later; both may come at once.
    """

    def __init__(self, calls: Calls, keys: RedisKeys, scopes: Scopes, budgets: Budgets) -> None:
        self._calls = calls
        self._keys = keys
        self._scopes = scopes
        self._known_tag = scopes.known_tag
        self._budgets = budgets
        self._kinds: dict[Shelf[Any], _Kind[Any]] = {}
        self._last: dict[Node, _Together] = {}

    def ask_one(self, shelf: Shelf[V], flight: Flight[V], stamp: bytes, told: ToldOne[V]) -> None:
        """For a flight that has just begun: together with what else is read in this turn of the loop, if it can be.
        `stamp`: of the value at hand.
        """
        kind = self._kinds.get(shelf) or self._kind(shelf)
        text = flight.text
        if kind.scope.held is None:
            told(shelf, flight, Later.READING)
            return
        key = kind.start + text if 0 < len(text) <= LONGEST_TEXT else self._keys.entry(shelf.entity, text)
        if stamp:
            command = read_call(key, Question(text, stamp, lease=flight.token), lease=self._budgets.lease)
        else:
            name = key.encode()
            command = kind.bare_read % (len(name), name, flight.token)
        node = self._calls.nodes.of(key)
        last = self._last.get(node)
        if last is not None and last.exchange.is_open and last.budget == kind.budget:
            asked = last.asked
            if len(asked) < MOST_TOGETHER:
                last.exchange.commands.append(command)
                asked.append((kind, flight, told))
                return
        asked = [(kind, flight, told)]
        exchange = self._calls.post(node, [command], kind.budget, functools.partial(self._hear, node, asked))
        if exchange is not None:
            self._last[node] = _Together(exchange, kind.budget, asked)

    def _kind(self, shelf: Shelf[V]) -> _Kind[V]:
        entity, budgets = shelf.entity, self._budgets
        kind = self._kinds[shelf] = _Kind(
            shelf=shelf,
            scope=self._scopes.entity(entity.name),
            budget=budgets.of(entity),
            start=self._keys.start(entity),
            bare_read=bare_read_form(budgets.lease),
        )
        return kind

    def _hear(self, node: Node, asked: Sequence[_Asked], replies: Sequence[Any] | None, order: int) -> None:
        last = self._last.get(node)
        if last is not None and last.asked is asked:
            del self._last[node]
        if replies is None:
            for kind, flight, told in asked:
                told(kind.shelf, flight, None)
            return
        for (kind, flight, told), reply in zip(asked, replies, strict=True):
            told(kind.shelf, flight, self._reading(kind, flight.token, reply, order))

    def ask(self, shelf: Shelf[V], questions: Sequence[Question], told: Told[V]) -> None:
        """As one exchange with each server."""
        kind = self._kinds.get(shelf) or self._kind(shelf)
        if kind.scope.held is None:
            told(range(len(questions)), [Later.READING] * len(questions))
            return
        keys = [self._keys.entry(shelf.entity, question.text) for question in questions]
        for node, indices in self._calls.by_node(keys):
            commands = [read_call(keys[index], questions[index], lease=self._budgets.lease) for index in indices]
            hear = self._hear_all(kind, [questions[index] for index in indices], indices, told)
            self._calls.post(node, commands, kind.budget, hear)

    def _hear_all(
        self, kind: _Kind[V], questions: Sequence[Question], indices: Sequence[int], told: Told[V]
    ) -> Callable[[list[Any] | None, int], None]:
        def hear(replies: list[Any] | None, order: int) -> None:
            each = zip(questions, replies or [None] * len(questions), strict=True)
            told(indices, [self._reading(kind, question.lease, reply, order) for question, reply in each])

        return hear

    def _reading(
        self,
        kind: _Kind[V],
        lease: bytes,
        reply: Any,  # noqa: ANN401  as it comes
        order: int,
    ) -> Reading[V] | Later | None:
        if reply is None:
            return None
        if (whole := kind.scope.held) is None:
            return Later.READING
        try:
            judgement = judged(reply, lease, whole, self._known_tag, order)
            if type(judgement) is not Reading:
                return Later.READING
            if (envelope := judgement.envelope) is not None:
                judgement.value = kind.shelf.codec.value_now(envelope)
            elif was_rubbish(reply):
                self._calls.errors["wrong_type"] += 1
        except Rubbish:
            return Later.READING  # which finds it again, and deletes it
        return judgement
