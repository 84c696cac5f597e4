"""The load: a closed loop over keep-alive connections that checks every response.

Plain sockets and one epoll, as an event loop would take longer for a request than what is measured: this loop
takes about 10 µs of its own core. It speaks as much HTTP/1.1 as our servers answer with: whole heads in one
segment, `content-length` or no body.
"""

import gc
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice

from msgspec import Struct

Address = tuple[str, int]

_BUFFER = 1 << 20
_SILENCE = 20.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class WrongAnswer(Exception):
    """A response is not what the case expects, so its cost means nothing."""


class Expected(Struct, frozen=True):
    """Every response must have this status and, unless None, a body of this many bytes."""

    status: int = 200
    body_bytes: int | None = None


class Load(Struct, frozen=True):
    """What a closed loop did; all requests that were sent are answered and counted."""

    requests: int
    seconds: float
    body_bytes: int


def closed_loop(
    address: Address,
    requests: Sequence[bytes],
    expected: Expected,
    *,
    connections: int,
    seconds: float,
    is_spinning: bool = True,
) -> Load:
    """Each connection sends the next request of the cycle as soon as it has the whole answer to its last one.

    One that does not spin leaves its core to others, such as an upstream, while it waits. Raises WrongAnswer, also
    when the server says nothing for 20 s.
    """
    loop = _Loop(requests, expected, is_spinning=is_spinning)
    with connected(address, connections) as sockets, _no_collection():
        return loop.run(sockets, seconds)


def one_at_a_time(address: Address, requests: Sequence[bytes], expected: Expected, *, count: int) -> list[float]:
    """Microseconds from the send to the last byte of the answer, for each of `count` requests, ascending."""
    took = []
    with connected(address, 1) as (connection,), _no_collection():
        connection.settimeout(_SILENCE)
        reader = _Reader(expected)
        for request in islice(cycle(requests), count):
            began = time.perf_counter_ns()
            connection.send(request)
            while not reader.is_complete_after(connection):
                pass
            took.append((time.perf_counter_ns() - began) / 1000)
    return sorted(took)


def get(address: Address, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """The bytes of a GET request, or with a body of a POST."""
    lines = [f"{'POST' if body else 'GET'} {target} HTTP/1.1", f"host: {address[0]}:{address[1]}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Reader:
    """Takes one response after the other from one connection."""

    __slots__ = ("_awaited", "_buffer", "_expected", "_status_line", "body_bytes")

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._status_line = f"HTTP/1.1 {expected.status} ".encode()
        self._buffer = bytearray(_BUFFER)
        self._awaited = 0
        self.body_bytes = 0

    def is_complete_after(self, connection: socket.socket) -> bool:
        """Receive once; True when that was the end of a response."""
        got = connection.recv_into(self._buffer)
        if got == 0:
            raise WrongAnswer("the server closed the connection")
        if self._awaited:
            self._awaited -= got
        else:
            self._awaited = self._length_of_answer(got) - got
        if self._awaited < 0:
            raise WrongAnswer("more bytes came than the answer has")
        return self._awaited == 0

    def _length_of_answer(self, got: int) -> int:
        """Head and body together, in bytes."""
        buffer = self._buffer
        end = buffer.find(_HEAD_END, 0, got)
        if end < 0 or not buffer.startswith(self._status_line):
            raise WrongAnswer(f"expected {self._status_line!r}, got {bytes(buffer[: min(got, 300)])!r}")
        at = buffer.find(_LENGTH, 0, end)
        body = int(buffer[at + len(_LENGTH) : buffer.index(b"\r", at)]) if at >= 0 else 0
        if self._expected.body_bytes is not None and body != self._expected.body_bytes:
            raise WrongAnswer(f"expected {self._expected.body_bytes} bytes, got {body}")
        self.body_bytes += body
        return end + len(_HEAD_END) + body


class _Loop:
    def __init__(self, requests: Sequence[bytes], expected: Expected, *, is_spinning: bool) -> None:
        self._requests = requests
        self._expected = expected
        self._wait = 0.0 if is_spinning else _SILENCE

    def run(self, sockets: Sequence[socket.socket], seconds: float) -> Load:
        requests, total = self._requests, len(self._requests)
        readers = {each.fileno(): (each, _Reader(self._expected)) for each in sockets}
        poll = select.epoll()
        sent = answered = 0
        began = time.perf_counter()
        deadline = began + seconds
        try:
            for descriptor, (connection, _) in readers.items():
                connection.setblocking(False)
                poll.register(descriptor, select.EPOLLIN)
                connection.send(requests[sent % total])
                sent += 1
            while answered < sent:
                events = _next_events(poll, self._wait)
                going_on = time.perf_counter() < deadline
                for descriptor, _ in events:
                    connection, reader = readers[descriptor]
                    if reader.is_complete_after(connection):
                        answered += 1
                        if going_on:
                            connection.send(requests[sent % total])
                            sent += 1
                        else:
                            poll.unregister(descriptor)  # the server may close it while others are waited for
        finally:
            poll.close()
        body_bytes = sum(reader.body_bytes for _, reader in readers.values())
        return Load(answered, time.perf_counter() - began, body_bytes)


def _next_events(poll: select.epoll, wait: float) -> list[tuple[int, int]]:
    """Spins where `wait` is 0: a driver that slept would have to be woken by the server, which costs the slower
    server more.
    """
    silent_from = time.perf_counter() + _SILENCE
    while not (events := poll.poll(wait)):
        if time.perf_counter() > silent_from:
            raise WrongAnswer(f"no answer within {_SILENCE:g} s")
    return events


@contextmanager
def connected(address: Address, count: int) -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(address, timeout=_SILENCE)
            sockets.append(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sockets
    finally:
        for connection in sockets:
            connection.close()


@contextmanager
def _no_collection() -> Iterator[None]:
    """The collector's pauses are the driver's own and must not count as the server's latency."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
