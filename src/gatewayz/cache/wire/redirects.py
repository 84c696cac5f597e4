"""Commands that a server of a cluster sent elsewhere: asked again there, and joined with the replies that stand."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from hiredis import ReplyError
from msgspec import Struct

from gatewayz.cache.wire.errors import WireError
from gatewayz.cache.wire.exchange import Exchange, spelled_out
from gatewayz.cache.wire.wire import Wire

_ASKING = ("ASKING",)


class Redirect(Struct, frozen=True):
    """`host` is empty where the server that sent us means its own. `once`: for this command only."""

    slot: int
    host: str
    port: int
    once: bool


class Elsewhere(Struct, frozen=True):
    """Some commands of an exchange, by their indexes, for another wire."""

    wire: Wire
    once: bool
    indexes: Sequence[int]


def redirect_of(reply: object) -> Redirect | None:
    """What `MOVED 3999 10.0.0.1:6379` and `ASK 3999 10.0.0.1:6379` say."""
    if type(reply) is not ReplyError:
        return None
    kind, *rest = str(reply).split(" ")
    if kind not in ("MOVED", "ASK") or len(rest) < 2:
        return None
    host, _, port = rest[1].rpartition(":")
    if not (port.isdigit() and rest[0].isdigit()):
        return None
    return Redirect(int(rest[0]), "" if host == "?" else host, int(port), kind == "ASK")


def ask_elsewhere(exchange: Exchange[Any], parts: Sequence[Elsewhere], scripts: Mapping[str, str]) -> None:
    """Have the exchange end with the replies from there. It fails with the first part that fails."""
    _Reunion(exchange, parts, scripts)


class _Reunion:
    """Its order is that of the earliest reply that counts: those that were refused do not."""

    def __init__(self, exchange: Exchange[Any], parts: Sequence[Elsewhere], scripts: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._missing = sum(len(part.indexes) for part in parts)
        self._order = exchange.order if self._missing < len(exchange.replies) else None
        for part in parts:
            self._send(part, scripts)

    def _send(self, part: Elsewhere, scripts: Mapping[str, str]) -> None:
        whole = self._exchange
        wanted = [whole.commands[index] for index in part.indexes]
        if part.once:  # a script that is unknown there could not be followed up: ASKING counts for one command
            wanted = [each for command in spelled_out(wanted, scripts) for each in (_ASKING, command)]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(self._end)
        then = functools.partial(self._take, part.indexes, 2 if part.once else 1)
        try:
            part.wire.send(Exchange(wanted, then, future, hops=whole.hops + 1))
        except WireError as error:
            future.set_exception(error)

    def _take(self, indexes: Sequence[int], step: int, replies: list[Any], order: int) -> None:
        whole = self._exchange
        self._order = order if self._order is None else min(self._order, order)
        for index, reply in zip(indexes, replies[step - 1 :: step], strict=True):
            whole.replies[index] = reply
        self._missing -= len(indexes)
        if not self._missing and not whole.future.done():
            whole.settle(self._order)

    def _end(self, part: "asyncio.Future[None]") -> None:
        error = None if part.cancelled() else part.exception()
        if error is not None and not self._exchange.future.done():
            self._exchange.future.set_exception(error)
