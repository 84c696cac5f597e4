"""A connection to one Redis node that is always there, or on its way back."""

import asyncio
import contextlib
import contextvars
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from hiredis import ReplyError

from gatewayz.cache.wire.deadlines import Deadlines
from gatewayz.cache.wire.endpoint import Dial, Endpoint
from gatewayz.cache.wire.errors import NotConnected, TooMuch, WireError
from gatewayz.cache.wire.exchange import Command, Exchange, Order, Packed, Then
from gatewayz.cache.wire.link import Link
from gatewayz.cache.wire.standing import ASK_STANDING, Standing, standing_of

T = TypeVar("T")

FIRST_PAUSE = 0.050
LONGEST_PAUSE = 2.0
STEADY_AFTER = 1.0
MOST_COMMANDS = 50_000
MOST_BYTES = 8 * 1024 * 1024

_TRACKING: Command = ("CLIENT", "TRACKING", "ON", "NOLOOP")


class Overseer(Protocol):
    """Knows which servers to lean on, and what they must be told."""

    def admit(self, standing: Standing) -> None:
        """Raises NotConnected for a server that is not to be used."""
        ...

    def joined(self, wire: "Wire", standing: Standing) -> Exchange[Any] | None:
        """What a new link must carry before anything else."""
        ...

    def refused(self, wire: "Wire", exchange: Exchange[Any]) -> bool:
        """An exchange has refusals among its replies. True: it is taken over, and settled later."""
        ...


class Wire:
    """One ordered connection. Commands of one turn of the loop go out in one write.

    `on_push` gets each push in its place between the replies; with it, Redis tells of the next change of every key that
    was read here. `on_gap` is called when pushes may be missed from now on, and when they come again. `order` may be
    shared with other wires. With an `overseer` each server is asked for its standing. `scripts` are the texts by SHA1
    that EVALSHA may name. Nothing is opened before `open` or the first command. While `most_commands` or `most_bytes`
    are under way, more is refused.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        name: str,
        scripts: Mapping[str, str],
        rng: random.Random,
        order: Order | None = None,
        on_push: Callable[[list[Any]], None] | None = None,
        on_gap: Callable[[], None] | None = None,
        overseer: Overseer | None = None,
        most_commands: int = MOST_COMMANDS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._dial = dial
        self._name = name
        self._scripts = scripts
        self._rng = rng
        self._on_push = on_push
        self._on_gap = on_gap
        self._overseer = overseer
        self._most_commands = most_commands
        self._most_bytes = most_bytes
        self._deadlines = Deadlines()
        self._link: Link | None = None
        self._parked: list[Exchange[Any]] = []
        self._keeper: asyncio.Task[None] | None = None
        self._demand = asyncio.Event()
        self._is_resting = False
        self.epoch = 0
        """How many links have broken: whoever remembers it knows whether pushes came without a break since."""
        self.order = order or Order()
        self.endpoint: Endpoint | None = None
        """Where the last link led."""

    def ask(self, commands: Sequence[Command | Packed], *, within: float, then: Then[T]) -> asyncio.Future[T]:
        """The future of what `then` makes of the replies, inside the parser; a refusal is a reply of type ReplyError.

        Cancelling the future forgets the replies and nothing else. It fails with Late after `within` seconds, or with
        LinkLost or NotConnected. Raises TooMuch or NotConnected where nothing was sent.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.post(Exchange(commands, then, future), within=within)
        return future

    def post(self, exchange: Exchange[Any], *, within: float) -> None:
        """As `ask`, for who has made the exchange. Raises the same."""
        self.send(exchange)
        self._deadlines.add(exchange.future, asyncio.get_running_loop().time() + within)

    def send(self, exchange: Exchange[Any]) -> None:
        """As `ask`, for an exchange that has a deadline already, or needs none."""
        link = self._link
        if link is None:
            self._park(exchange)
            return
        if link.commands and (link.commands >= self._most_commands or link.bytes >= self._most_bytes):
            raise TooMuch(f"{link.commands} commands, {link.bytes} bytes are under way: Redis does not keep up")
        link.send(exchange)

    def leave(self) -> None:
        """Break the link, if there is one: the next is to where `dial` leads then."""
        if self._link is not None:
            self._link.abort()

    def open(self) -> None:
        """Connect in the background, and stay connected until `close`."""
        if self._keeper is None or self._keeper.done():
            context = contextvars.Context()
            keep = self._keep()
            self._keeper = asyncio.get_running_loop().create_task(keep, name=f"{self._name} keeper", context=context)

    async def close(self) -> None:
        """End the link; whatever is under way fails. A later command would open a new one."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None
        if self._link is not None:
            link = self._link
            link.abort()
            await link.lost.wait()
        self._fail_parked("the wire was closed")

    @property
    def is_connected(self) -> bool:
        return self._link is not None

    @property
    def is_tracking(self) -> bool:
        """Whether Redis tells us now when a key changes that was read here."""
        return self._link is not None and self._link.tracks

    def _park(self, exchange: Exchange[Any]) -> None:
        if self._is_resting:
            raise NotConnected("the last attempt to connect has just failed")
        if len(self._parked) >= self._most_commands:
            raise TooMuch(f"{len(self._parked)} exchanges wait for a connection already")
        self._parked.append(exchange)
        self._demand.set()
        self.open()

    async def _keep(self) -> None:
        """The one task that connects. An attempt follows a break at once; then pauses grow from 50 ms to 2 s, and a
        command cuts a pause short.
        """
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            try:
                link, standing = await self._connected()
            except (OSError, WireError) as error:
                self._fail_parked(f"cannot connect to Redis: {error!r}; see that it is up and lets us in")
                failures += 1
                await self._rest(failures)
                continue
            began = loop.time()
            self._join(link, standing)
            await link.lost.wait()
            failures = 0 if loop.time() - began >= STEADY_AFTER else failures + 1
            if failures > 1:
                await self._rest(failures)

    async def _connected(self) -> tuple[Link, Standing]:
        endpoint = await self._dial()
        on_push = self._on_push or _ignored
        link = await endpoint.connect(lambda: Link(self._scripts, self.order, on_push, self._lost, self._refused))
        try:
            async with asyncio.timeout(endpoint.answer_within):
                standing = await self._greet(link, endpoint.greeting(self._name))
            if self._overseer is not None:
                self._overseer.admit(standing)
        except BaseException:
            link.abort()
            raise
        self.endpoint = endpoint
        return link, standing

    async def _greet(self, link: Link, greeting: list[Command]) -> Standing:
        wanted = [*greeting]
        if self._overseer is not None:
            wanted.append(ASK_STANDING)
        if self._on_push is not None:
            wanted.append(_TRACKING)
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        link.send(Exchange(wanted, lambda replies, _order: replies, future))
        replies = await future
        for reply in replies[: len(greeting)]:
            if isinstance(reply, ReplyError):
                raise NotConnected(f"Redis refused the greeting: {reply}")
        link.tracks = self._on_push is not None and not isinstance(replies[-1], ReplyError)
        return standing_of(replies[0], replies[len(greeting)] if self._overseer is not None else None)

    def _join(self, link: Link, standing: Standing) -> None:
        if link.lost.is_set():
            return
        self._link = link
        link.watch()
        if self.epoch:
            self._gap()
        if self._overseer is not None and (first := self._overseer.joined(self, standing)) is not None:
            link.send(first)
        parked, self._parked = self._parked, []
        for exchange in parked:
            if not exchange.future.done():
                link.send(exchange)

    def _refused(self, exchange: Exchange[Any]) -> bool:
        return self._overseer is not None and self._overseer.refused(self, exchange)

    def _lost(self, link: Link) -> None:
        if link is self._link:
            self._link = None
            self.epoch += 1
            self._gap()

    def _gap(self) -> None:
        self.order.now += 1
        if self._on_gap is not None:
            self._on_gap()

    async def _rest(self, failures: int) -> None:
        self._is_resting = True
        try:
            await asyncio.sleep(FIRST_PAUSE)
        finally:
            self._is_resting = False
        self._demand.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_pause(failures) * self._rng.uniform(0.5, 1.0)):
                await self._demand.wait()

    def _fail_parked(self, why: str) -> None:
        parked, self._parked = self._parked, []
        for exchange in parked:
            if not exchange.future.done():
                exchange.future.set_exception(NotConnected(why))


def _ignored(_push: list[Any]) -> None:
    """A link that does not track is pushed nothing that matters."""


def _pause(failures: int) -> float:
    return min(FIRST_PAUSE * 2.0**failures, LONGEST_PAUSE)
