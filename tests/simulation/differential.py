"""The simulated Redis and a real one, asked the same over connections of which some are told of changes."""

import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from hiredis import PushNotification, Reader, ReplyError
from msgspec import Struct

from gatewayz.cache import scripts
from gatewayz.cache.wire.exchange import pack
from tests.simulation.redis import Client, RedisServer
from tests.simulation.replies import encoded, pushed

KEYS = (b"gw:entry", b"gw:other", b"gw:#scope:things")
STAMPS = (b"", b"*", b"1:a", b"1:b", b"2:a", b"1: a")
TOKENS = (b"", b"tokenA", b"tokenB")
TRACKING = ((b"NOLOOP",), (b"NOLOOP",), (), None)
"""How each of the connections is told of changes; None: not at all."""


class Side(Protocol):
    """`ask` gives the reply, `told` the pushes that a connection got since it was asked last."""

    def ask(self, connection: int, command: list[bytes]) -> object: ...
    def told(self, connection: int) -> list[object]: ...
    def fill_up(self, *, is_full: bool) -> None: ...


class Simulated:
    def __init__(self) -> None:
        self._milliseconds = 1_800_000_000_000
        self._server = RedisServer(lambda: self._milliseconds / 1000)
        self._readers = [Reader() for _ in TRACKING]
        self._clients = [_heard_by(reader) for reader in self._readers]

    def ask(self, connection: int, command: list[bytes]) -> object:
        self._milliseconds += 1
        reply = self._server.execute(self._clients[connection], command)
        reader = Reader()
        reader.feed(encoded(reply))
        return reader.gets()

    def told(self, connection: int) -> list[object]:
        reader, pushes = self._readers[connection], []
        while (push := reader.gets()) is not False:
            pushes.append(push)
        return pushes

    def fill_up(self, *, is_full: bool) -> None:
        self._server.is_full = is_full


def _heard_by(reader: Reader) -> Client:
    return Client(lambda key: reader.feed(pushed(key)))


class Real:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._sockets = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in TRACKING]
        for each in self._sockets:
            each.settimeout(30)
            each.connect(str(path))
        self._readers = [Reader() for _ in TRACKING]
        self._pushes: list[list[object]] = [[] for _ in TRACKING]

    def ask(self, connection: int, command: list[bytes]) -> object:
        self._sockets[connection].sendall(pack(tuple(command)))
        while True:
            reply = self._readers[connection].gets()
            if isinstance(reply, PushNotification):
                self._pushes[connection].append(reply)
            elif reply is not False:
                return reply
            else:
                self._readers[connection].feed(self._sockets[connection].recv(65_536))

    def told(self, connection: int) -> list[object]:
        self.ask(connection, [b"PING"])
        pushes, self._pushes[connection] = self._pushes[connection], []
        return pushes

    def fill_up(self, *, is_full: bool) -> None:
        self.ask(3, [b"CONFIG", b"SET", b"maxmemory", b"1" if is_full else b"0"])


class Told(Struct, frozen=True):
    """What one command led to, with what no two servers share put under names."""

    connection: int
    command: list[bytes]
    reply: object
    pushes: list[list[object]]


class Comparison:
    """The same steps for any side: arguments that are generations are taken from that side's own replies."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._generations: list[bytes] = []

    def begin(self) -> None:
        for connection, options in enumerate(TRACKING):
            self._side.ask(connection, [b"HELLO", b"3"])
            if options is not None:
                self._side.ask(connection, [b"CLIENT", b"TRACKING", b"ON", *options])
        self._side.ask(0, [b"FLUSHALL"])
        for connection in range(len(TRACKING)):
            self._side.told(connection)

    def step(self, connection: int, command: list[bytes]) -> Told:
        if command[0] == b"FULL":
            self._side.fill_up(is_full=command[1] == b"1")
            return Told(connection, command, None, [])
        reply = self._side.ask(connection, [self._filled_in(each) for each in command])
        pushes = [self._side.told(each) for each in range(len(TRACKING))]
        return Told(connection, command, self._named(reply), [plain(each) for each in pushes])

    def _filled_in(self, argument: bytes) -> bytes:
        """`#n` stands for the n-th generation from the newest."""
        if match := re.fullmatch(rb"#(\d+)", argument):
            known = self._generations[-5:]
            return known[int(match[1]) % len(known)] if known else b"none"
        return argument

    def _named(self, reply: Any) -> object:  # noqa: ANN401  as it comes
        if isinstance(reply, ReplyError):
            return (
                "unknown script" if str(reply).startswith("NOSCRIPT") else "refused"
            )  # the wording is a version's own
        if isinstance(reply, list):
            return [self._named(each) for each in reply]
        if isinstance(reply, bytes) and re.fullmatch(rb"\d{16,}(\|.*)?", reply):
            generation, bar, rest = reply.partition(b"|")
            if generation == b"1500000000000000":
                return reply
            if generation not in self._generations:
                self._generations.append(generation)
            return f"generation {self._generations.index(generation)}{(bar + rest).decode()}"
        if isinstance(reply, int) and abs(reply) > 100:
            return "milliseconds"
        return reply


def plain(pushes: list[object]) -> list[object]:
    """Pushes as lists, which compare."""
    return [list(push) if isinstance(push, PushNotification) else push for push in pushes]


def steps(rng: random.Random, count: int) -> Iterator[tuple[int, list[bytes]]]:
    for _ in range(count):
        yield rng.randrange(len(TRACKING)), [_bytes(each) for each in rng.choice(_MAKERS)(rng)]


def _bytes(argument: object) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


def _script(text: str, *arguments: object) -> list[object]:
    return ["EVAL", text, 1, *arguments]


def _read(rng: random.Random) -> list[object]:
    stamps = rng.choice(STAMPS), rng.choice(STAMPS)
    most, awaited = rng.choice([0, 3]), rng.choice(TOKENS)
    return _script(scripts.READ, rng.choice(KEYS), *stamps, rng.choice(TOKENS), 5000, 300_000, most, awaited)


def _bump(rng: random.Random) -> list[object]:
    floor, cutoff = rng.choice([0, 7, 12]), rng.choice(["", "1700000000.5", "1900000000.25"])
    return _script(scripts.BUMP, rng.choice(KEYS), floor, cutoff, rng.choice([0, 60_000]))


def _fill(rng: random.Random) -> list[object]:
    value = rng.choice([b"v", b"a value"])
    return _script(
        scripts.FILL, rng.choice(KEYS), f"#{rng.randrange(3)}", rng.choice(STAMPS), rng.choice(STAMPS), value, 60_000
    )


_MAKERS = (
    _read,
    _read,
    _fill,
    _fill,
    _bump,
    lambda rng: _script(scripts.SCOPE, rng.choice(KEYS), rng.choice(["", "1500000000000000"]), rng.choice([0, 60_000])),
    lambda rng: _script(scripts.INVALIDATE, rng.choice(KEYS), 300_000, rng.choice([0, 7, 12])),
    lambda rng: _script(scripts.SEE, rng.choice(KEYS)),
    lambda rng: _script(scripts.DISCARD, rng.choice(KEYS), rng.choice(STAMPS)),
    lambda rng: _script(scripts.GIVE_BACK, rng.choice(KEYS), rng.choice(TOKENS), rng.choice(["", "ValueError"])),
    lambda rng: _script(scripts.RELEASE, rng.choice(KEYS), rng.choice(TOKENS)),
    lambda rng: ["EVALSHA", "0" * 40, 1, rng.choice(KEYS)],
    lambda rng: ["GET", rng.choice(KEYS)],
    lambda rng: ["HGET", rng.choice(KEYS), "g"],
    lambda rng: ["HMGET", rng.choice(KEYS), "g", "s"],
    lambda rng: ["HSET", rng.choice(KEYS), "x", "1"],
    lambda rng: ["HDEL", rng.choice(KEYS), "x", "g"],
    lambda rng: ["SET", rng.choice(KEYS), "text"],
    lambda rng: ["SET", rng.choice(KEYS), "token", "NX", "PX", 30_000],
    lambda rng: ["DEL", rng.choice(KEYS)],
    lambda rng: ["PEXPIRE", rng.choice(KEYS), rng.choice([-1, 60_000])],
    lambda rng: ["PTTL", rng.choice(KEYS)],
    lambda rng: ["EXISTS", rng.choice(KEYS)],
    lambda rng: ["INCR", rng.choice(KEYS)],
    lambda rng: ["MGET", rng.choice(KEYS), rng.choice(KEYS)],
    lambda _rng: ["FLUSHALL"],
    lambda rng: ["FULL", rng.choice([0, 0, 1])],
    lambda rng: _script("return redis.call('SET', KEYS[1], 1.5)", rng.choice(KEYS)),
    lambda rng: _script("return {1, 2.9, 'three', false, 5}", rng.choice(KEYS)),
    lambda rng: _script("local r = redis.pcall('INCR', KEYS[1]); return r", rng.choice(KEYS)),
    # A write that is not read again: from here on the writer is not told.
    lambda rng: _script("redis.call('GET', KEYS[1]) return redis.call('SET', KEYS[1], 'x')", rng.choice(KEYS)),
    lambda rng: _script(
        "redis.call('SET', KEYS[1], 'x') redis.call('GET', KEYS[1]) return redis.status_reply('fine')", rng.choice(KEYS)
    ),
)


@contextmanager
def real(path: Path) -> Iterator[Real]:
    with ExitStack() as stack:
        yield Real(path, stack)
