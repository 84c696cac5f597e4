"""Connections to the simulated Redis: bytes that come late but in order, or not at all."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast

from hiredis import Reader

from gatewayz.cache.wire.endpoint import Dial, Endpoint
from gatewayz.cache.wire.link import Link
from tests.simulation.loop import SimLoop
from tests.simulation.redis import Client, RedisServer
from tests.simulation.replies import encoded, pushed

FASTEST = 0.0001
SLOWEST = 0.001
HICCUP = 0.01
HICCUPS = 0.01
"""The part of messages that come late by up to HICCUP seconds, which by itself outlasts no deadline."""


class Pipe:
    """One direction of a connection. While it `is_stalled`, nothing arrives; afterwards all of it does."""

    def __init__(self, network: "Network", arrived: Callable[[bytes | None], None]) -> None:
        self._network = network
        self._arrived = arrived
        self._last = 0.0
        self._held: list[bytes | None] | None = None
        self._is_cut = False

    def send(self, data: bytes | None) -> None:
        """None: the end."""
        at = self._last = max(self._last, self._network.loop.time() + self._network.delay())
        self._network.loop.call_at(at, self._arrive, data)

    def cut(self) -> None:
        """What is under way is lost, and all that follows."""
        self._is_cut = True

    def stall(self) -> None:
        if self._held is None:
            self._held = []

    def flow(self) -> None:
        held, self._held = self._held, None
        for data in held or []:
            self._arrive(data)

    def _arrive(self, data: bytes | None) -> None:
        if self._is_cut:
            return
        if self._held is not None:
            self._held.append(data)
        else:
            self._arrived(data)


class Connection:
    """Both ends of one, and the transport that the client's protocol writes to."""

    def __init__(self, network: "Network", protocol: asyncio.Protocol, worker: object) -> None:
        self._network = network
        self._protocol = protocol
        self.worker = worker
        self.up = Pipe(network, self._reached_server)
        self.down = Pipe(network, self._reached_client)
        self._reader = Reader()
        self.client = Client(self._push)
        self._is_closing = False
        self._has_vanished = False
        self._is_open = True  # as the server sees it
        protocol.connection_made(cast("asyncio.BaseTransport", self))

    def write(self, data: bytes) -> None:
        if not self._is_closing and not self._has_vanished:
            self.up.send(data)

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            if not self._has_vanished:
                self.up.send(None)
            self.down.cut()
            self._network.loop.call_soon(self._protocol.connection_lost, None)

    close = abort

    def reset(self) -> None:
        """The server ends it; the client learns of it with what it was still sent."""
        if self._is_open:
            self._drop()
            self.down.send(None)

    def vanish(self) -> None:
        """The client's process is gone: its end is closed by its kernel, and nothing reaches it any more."""
        self._has_vanished = True
        self.down.cut()
        self.up.flow()
        self.up.send(None)

    def _reached_server(self, data: bytes | None) -> None:
        self._network.served(self, data)

    def take(self, data: bytes | None) -> None:
        """What the server does with it."""
        if not self._is_open:
            return
        if data is None:
            self._drop()
            return
        self._reader.feed(data)
        server = self._network.server
        while (command := self._reader.gets()) is not False:
            reply = server.execute(self.client, [_bytes(each) for each in command])
            if self._is_open:
                self.down.send(encoded(reply))
            if self._network.on_command is not None:
                self._network.on_command(self, command, reply)

    def _reached_client(self, data: bytes | None) -> None:
        if self._is_closing:
            return
        if data is not None:
            self._protocol.data_received(data)
        else:
            self._is_closing = True
            self._protocol.connection_lost(ConnectionResetError("reset by the server"))

    def _push(self, key: bytes | None) -> None:
        if self._network.on_command is not None:
            self._network.on_command(self, [b"(told of)", key], None)
        self.down.send(pushed(key))

    def _drop(self) -> None:
        self._is_open = False
        self._network.server.forget(self.client)
        self._network.connections.pop(self, None)


class Network:
    """Leads to one server, which may be frozen, down, or slow. `on_command` hears of each command and its reply, and of
    each push.
    """

    def __init__(self, loop: SimLoop, rng: random.Random, server: RedisServer) -> None:
        self.loop = loop
        self.rng = rng
        self.server = server
        self.connections: dict[Connection, None] = {}
        self.is_down = False
        self.slowness = 1.0
        self.unreachable: set[object] = set()
        self.on_command: Callable[[Connection, list[Any], object], None] | None = None
        self._frozen: list[tuple[Connection, bytes | None]] | None = None

    def delay(self) -> float:
        rng = self.rng
        usual = (FASTEST + (SLOWEST - FASTEST) * rng.random()) * self.slowness
        return usual if rng.random() >= HICCUPS else usual + HICCUP * rng.random()

    def dial(self, worker: object) -> Dial:
        async def dial() -> Endpoint:
            return _SimEndpoint(network=self, worker=worker)

        return dial

    def freeze(self) -> None:
        if self._frozen is None:
            self._frozen = []

    def thaw(self) -> None:
        frozen, self._frozen = self._frozen, None
        for connection, data in frozen or []:
            connection.take(data)

    def served(self, connection: Connection, data: bytes | None) -> None:
        if self._frozen is not None:
            self._frozen.append((connection, data))
        else:
            connection.take(data)

    def restart(self, *, down_for: float) -> None:
        """The server dies, and comes back with nothing."""
        for connection in list(self.connections):
            connection.reset()
        self.server.restart()
        self._frozen = None
        self.is_down = True
        self.loop.call_later(down_for, self._up)

    def of(self, worker: object) -> list[Connection]:
        return [each for each in self.connections if each.worker is worker]

    async def connect(self, make: Callable[[], Link], worker: object) -> Link:
        await asyncio.sleep(self.delay())
        if worker in self.unreachable:
            await asyncio.sleep(3600)  # the caller's own deadline comes first
        if self.is_down:
            raise ConnectionRefusedError("the simulated Redis is down")
        link = make()
        self.connections[Connection(self, link, worker)] = None
        return link

    def _up(self) -> None:
        self.is_down = False


class _SimEndpoint(Endpoint, frozen=True, kw_only=True):
    network: Any
    worker: Any

    async def connect(self, make: Callable[[], Link]) -> Link:
        async with asyncio.timeout(self.connect_within):
            link: Link = await self.network.connect(make, self.worker)
        return link


def _bytes(argument: object) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()
