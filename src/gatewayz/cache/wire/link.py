"""One connection's life: what is asked goes out in one write per turn of the loop, and replies and pushes are taken
in the order in which Redis sent them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from hiredis import ProtocolError, PushNotification, Reader, ReplyError

from gatewayz.cache.wire.errors import LinkLost
from gatewayz.cache.wire.exchange import Exchange, Order, Refused

PING_AFTER = 1.0
DEAD_AFTER = 2.0
LEAST_PAUSE = 0.001  # a timer that is due by a rounding error only would be due at once, again and again
FED_AT_ONCE = 32 * 1024
"""Bytes. The parser moves all that it still holds for each reply that it gives out: of 200 kB, a hundred times."""

_MORE = object()


class Link(asyncio.Protocol):
    """`on_push` is called inside the parser; `on_lost` once, before the futures under way fail with LinkLost.
    `refused` as in `Exchange.complete`.
    """

    def __init__(
        self,
        scripts: Mapping[str, str],
        order: Order,
        on_push: Callable[[list[Any]], None],
        on_lost: Callable[["Link"], None],
        refused: Refused | None = None,
    ) -> None:
        self._scripts = scripts
        self._order = order
        self._on_push = on_push
        self._on_lost = on_lost
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(notEnoughData=_MORE)
        self._under_way: deque[Exchange[Any]] = deque()
        self._out: list[bytes] = []
        self._open: Exchange[Any] | None = None  # the last one, as long as it has not gone out
        self._transport: asyncio.Transport | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._is_pinged = False
        self.tracks = False
        self.commands = 0
        self.bytes = 0
        self.lost = asyncio.Event()

    def send(self, exchange: Exchange[Any]) -> None:
        if self._open is not None:
            self._shut(self._open)
        self._under_way.append(exchange)
        self._count_out(exchange)
        exchange.is_open = True
        self._open = exchange

    def _shut(self, exchange: Exchange[Any]) -> None:
        """Nothing joins it any more. What has joined it is counted now: one addition for all."""
        exchange.is_open = False
        self._open = None
        if len(exchange.commands) > exchange.expects:
            self._count_out(exchange)

    def _count_out(self, exchange: Exchange[Any]) -> None:
        commands, size = exchange.expects, exchange.size
        unsent = exchange.unsent()
        self.commands += exchange.expects - commands
        self.bytes += exchange.size - size
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out += unsent

    def watch(self) -> None:
        """From now on the link breaks where Redis says nothing for two seconds, though it was asked after one."""
        self._heartbeat = self._loop.call_at(self._heard_at + PING_AFTER, self._beat)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._heard_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._is_pinged = False
        feed, gets, under_way = self._reader.feed, self._reader.gets, self._under_way
        try:
            for begin in range(0, len(data), FED_AT_ONCE):
                feed(data, begin, min(FED_AT_ONCE, len(data) - begin))
                while (reply := gets()) is not _MORE:
                    kind = type(reply)
                    if kind is PushNotification:
                        self._order.now += 1
                        self._on_push(reply)
                        continue
                    exchange = under_way[0]
                    replies = exchange.replies
                    replies.append(reply)
                    count = len(replies)
                    if count == exchange.first:
                        exchange.order = self._order.now
                    if kind is ReplyError:
                        exchange.has_refusal = True
                    if count == exchange.expects:
                        self._complete(exchange)
        except (ProtocolError, IndexError):  # not RESP, or a reply to nothing: no later reply could be trusted
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._on_lost(self)
        self.lost.set()
        for exchange in self._under_way:
            if not exchange.future.done():
                exchange.future.set_exception(LinkLost(f"the connection to Redis broke: {exc or 'it was closed'}"))
        self._under_way.clear()

    def _complete(self, exchange: Exchange[Any]) -> None:
        follower = exchange.complete(self._scripts, self._refused)
        self._under_way.popleft()
        self.commands -= exchange.expects
        self.bytes -= exchange.size
        if follower is not None:
            self.send(follower)

    def _flush(self) -> None:
        if self._open is not None:
            self._shut(self._open)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _beat(self) -> None:
        now = self._loop.time()
        silent = now - self._heard_at
        if silent >= DEAD_AFTER and self._is_pinged:
            self.abort()
            return
        next_at = max(self._heard_at + PING_AFTER, now + LEAST_PAUSE)
        if silent >= PING_AFTER:
            self._is_pinged = True
            nobody = self._loop.create_future()
            nobody.cancel()
            self.send(Exchange([("PING",)], _nothing, nobody))
            next_at = max(self._heard_at + DEAD_AFTER, now + PING_AFTER)
        self._heartbeat = self._loop.call_at(next_at, self._beat)


def _nothing(_replies: list[Any], _order: int) -> None:
    return None
