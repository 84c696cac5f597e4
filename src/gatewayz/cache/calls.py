"""Commands to the servers of one Redis, each of which may not answer: then it is passed by for a while."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from hiredis import ReplyError
from msgspec import Struct

from gatewayz.cache.breaker import BreakerState
from gatewayz.cache.nodes import Node, Nodes
from gatewayz.cache.wire.errors import Late, TooMuch, WireError
from gatewayz.cache.wire.exchange import Command, Exchange, Packed
from gatewayz.cache.wire.exchange import Then as Parsed
from gatewayz.cache.wire.wire import Wire

T = TypeVar("T")

Then: TypeAlias = Callable[[list[Any] | None, int], None]


class Heard(Struct, frozen=True):
    """Replies, each None where Redis refused that one command, and the order in which they came."""

    order: int
    replies: list[Any]


class Calls:
    """`errors` counts by kind. `probe_within`: seconds for a server that is passed by to show that it is back."""

    def __init__(self, nodes: Nodes, *, probe_within: float) -> None:
        self.nodes = nodes
        self._probe_within = probe_within
        self.errors: Counter[str] = Counter()

    @property
    def state(self) -> BreakerState:
        """The worst of all servers'."""
        states = [node.breaker.state for node in self.nodes.known()]
        return max(states, key=list(BreakerState).index, default=BreakerState.CLOSED)

    @property
    def opened(self) -> int:
        return sum(node.breaker.opened for node in self.nodes.known())

    def by_node(self, keys: Sequence[str]) -> list[tuple[Node, Sequence[int]]]:
        """Indices of the keys by the server that has them."""
        if len(keys) == 1:
            return [(self.nodes.of(keys[0]), (0,))]
        groups: dict[Node, list[int]] = {}
        for index, key in enumerate(keys):
            groups.setdefault(self.nodes.of(key), []).append(index)
        return list(groups.items())

    def post(
        self, node: Node, commands: Sequence[Command | Packed], budget: float, then: Then
    ) -> Exchange[None] | None:
        """Ask without a task. `then` is called once: inside the parser with replies and order, each reply None where
        Redis refused that one command; or with None and 0 if there is no answer, which may be at once. Returns what was
        sent.
        """
        if not self._admits(node):
            then(None, 0)
            return None
        return self._put(node, commands, budget, then)

    def _put(
        self, node: Node, commands: Sequence[Command | Packed], budget: float, then: Then
    ) -> Exchange[None] | None:
        posted = _Posted(self, node, then)
        exchange = Exchange(commands, posted.parsed, posted)
        try:
            node.main.post(exchange, within=budget)
        except WireError as error:
            posted.set_exception(error)
            return None
        return exchange

    async def run(
        self,
        node: Node,
        commands: Sequence[Command | Packed],
        budget: float,
        *,
        over: Wire | None = None,
        then: Callable[[Heard], None] | None = None,
    ) -> Heard | None:
        """None if there is no answer. `then` is called inside the parser. `over`: not the main connection."""

        def parsed(replies: list[Any], order: int) -> Heard:
            heard = self._heard(replies, order)
            if then is not None:
                then(heard)
            return heard

        return await self._answered(node, over or node.main, commands, budget, parsed)

    def ask(self, node: Node, command: Command | Packed, budget: float) -> Awaitable[Any | None]:
        """The reply to one command; None where it is refused, or there is no answer."""
        return self._answered(node, node.main, (command,), budget, self._only)

    def _only(self, replies: list[Any], _order: int) -> Any:  # noqa: ANN401  whatever the command says
        self.count_refusals(replies)
        return replies[0]

    async def _answered(
        self, node: Node, wire: Wire, commands: Sequence[Command | Packed], budget: float, parsed: Parsed[T]
    ) -> T | None:
        if not self._admits(node):
            return None
        try:
            answer = await wire.ask(commands, within=budget, then=parsed)
        except WireError as error:
            self.blame(node, error)
            return None
        except asyncio.CancelledError:
            node.breaker.abandoned()
            raise
        node.breaker.succeeded()
        return answer

    def _admits(self, node: Node) -> bool:
        """Whether to ask now. The probe that closes a breaker is none of those who ask: nobody waits for it."""
        if node.breaker.state is BreakerState.CLOSED:
            return True
        if node.breaker.admits():
            self._probe(node)
        self.errors["skipped"] += 1
        return False

    def _probe(self, node: Node) -> None:
        self._put(node, [("PING",)], self._probe_within, _unneeded)

    def blame(self, node: Node, error: BaseException) -> None:
        """Count it, against the server too."""
        if isinstance(error, TooMuch):
            self.errors["full"] += 1
            node.breaker.abandoned()
        else:
            is_late = isinstance(error, Late)
            self.errors["timeout" if is_late else "connection"] += 1
            node.breaker.failed(timeout=is_late)

    def _heard(self, replies: list[Any], order: int) -> Heard:
        self.count_refusals(replies)
        return Heard(order, replies)

    def count_refusals(self, replies: list[Any]) -> None:
        """And put None in their places."""
        if ReplyError not in map(type, replies):
            return  # which is nearly always so
        for index, reply in enumerate(replies):
            if type(reply) is ReplyError:
                self.errors["refused"] += 1
                replies[index] = None


def _unneeded(_replies: list[Any] | None, _order: int) -> None:
    """The breaker has been told, and nobody else waits."""


class _Posted:
    """Stands where a future stands, for who waits by being called. Done, it holds nothing: its deadline holds it on."""

    __slots__ = ("_calls", "_node", "_then")

    def __init__(self, calls: Calls, node: Node, then: Then) -> None:
        self._calls = calls
        self._node = node
        self._then: Then | None = then

    def parsed(self, replies: list[Any], order: int) -> None:
        self._node.breaker.succeeded()
        self._calls.count_refusals(replies)
        if self._then is not None:
            self._then(replies, order)

    def done(self) -> bool:
        return self._then is None

    def set_result(self, _result: None, /) -> None:
        self._then = None

    def set_exception(self, error: BaseException, /) -> None:
        then, self._then = self._then, None
        self._calls.blame(self._node, error)
        if then is not None:
            then(None, 0)
