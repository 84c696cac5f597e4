"""A server that takes over may lack the last writes of the one before: it is told again what is dead, first of all."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hiredis import ReplyError

from gatewayz.cache import scripts
from gatewayz.cache.wire.exchange import Command, Exchange, spelled_out
from gatewayz.cache.wire.redirects import redirect_of
from gatewayz.cache.wire.standing import Standing
from gatewayz.cache.wire.wire import Wire

MOST_HOPS = 3


class Memory(Protocol):
    def repeated(self, is_there: Callable[[str], bool]) -> list[Command]:
        """The invalidations of the last seconds, of those keys."""
        ...


class Takeovers:
    """Remembers under which history each wire's server has been told everything."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._histories: dict[Wire, str] = {}

    def history(self, wire: Wire) -> str | None:
        return self._histories.get(wire)

    def joined(self, wire: Wire, standing: Standing, is_there: Callable[[str], bool]) -> Exchange[Any] | None:
        """What the link must carry first, if the server goes on under another history than before, or under one that
        we may not know. Told again at the next link, if it does not get through.
        """
        if standing.history is not None and standing.history == self._histories.get(wire):
            return None
        self.forget(wire)
        return self._repeat(wire, is_there, standing.history)

    def gained(self, wire: Wire, is_there: Callable[[str], bool]) -> None:
        """The server has keys now that another one had."""
        if not wire.is_connected:
            self.forget(wire)
        elif (exchange := self._repeat(wire, is_there, self._histories.get(wire))) is not None:
            wire.send(exchange)

    def forget(self, wire: Wire) -> None:
        self._histories.pop(wire, None)

    def _repeat(self, wire: Wire, is_there: Callable[[str], bool], history: str | None) -> Exchange[Any] | None:
        def then(replies: list[Any], _order: int) -> None:
            refused = [each for each in replies if type(each) is ReplyError and redirect_of(each) is None]
            if history is not None and not refused:
                self._histories[wire] = history

        commands = _self_contained(self._memory.repeated(is_there))
        if not commands:
            then([], 0)
            return None
        self.forget(wire)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_looked_at)
        return Exchange(commands, then, future, hops=MOST_HOPS)


def _self_contained(commands: Sequence[Command]) -> list[Command]:
    """Each script with its text the first time: were one unknown, it would run after what comes behind."""
    seen: set[object] = set()
    whole: list[Command] = []
    for command in commands:
        whole.extend([command] if command[1] in seen else spelled_out([command], scripts.BY_SHA))
        seen.add(command[1])
    return whole


def _looked_at(future: "asyncio.Future[None]") -> None:
    if not future.cancelled():
        future.exception()
