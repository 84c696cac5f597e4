"""Streams of the quick upstream that are open at the same time, and how late their chunks come."""

import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from statistics import median

from msgspec import Struct

from benchmarks.load.driver import Address, WrongAnswer, connected
from benchmarks.load.quick_upstream import CHUNKS, GAP

LATE_NS = 50_000_000
_TRIES = 3
# Half of a stream's time: the first one still has half of its chunks to come when the last one is opened.
_OPENING = CHUNKS * GAP / 2
_SILENCE = 20.0
_BUFFER = 1 << 16
_DUE = re.compile(rb'"content":\s*"(\d{6,})"')


class Held(Struct):
    """Of all streams: the chunks that came, those of them that came late, and by how much the latest."""

    chunks: int = 0
    late: int = 0
    latest_ns: int = 0


def most_held(numbers: Sequence[int], held: Callable[[int], Held]) -> int:
    """The largest of the ascending `numbers` up to which none had a late chunk in most of its tries; 0 for none."""
    most = 0
    for number in numbers:
        if median(held(number).late for _ in range(_TRIES)):
            break
        most = number
    return most


def hold(address: Address, requests: Sequence[bytes]) -> Held:
    """Open a stream for each, evenly over half of a stream's time, and read them to their ends.

    A chunk that never comes is late. Raises WrongAnswer for an answer that is none, or has no end.
    """
    with connected(address, len(requests)) as sockets:
        found = _Streams(sockets, requests).read()
    found.late += CHUNKS * len(requests) - found.chunks
    return found


class _Streams:
    """Sleeps between what comes: the upstream runs on the same core."""

    def __init__(self, sockets: Sequence[socket.socket], requests: Sequence[bytes]) -> None:
        self._unopened = list(zip(sockets, requests, strict=True))[::-1]
        self._gap = _OPENING / len(requests)
        self._open: dict[int, tuple[socket.socket, bytes]] = {}
        self._found = Held()

    def read(self) -> Held:
        with select.epoll() as poll:
            next_opening = time.monotonic()
            while self._unopened or self._open:
                if self._unopened and time.monotonic() >= next_opening:
                    connection, request = self._unopened.pop()
                    poll.register(connection, select.EPOLLIN)
                    self._open[connection.fileno()] = (connection, b"")
                    connection.sendall(request)
                    next_opening += self._gap
                wait = max(0.0, next_opening - time.monotonic()) if self._unopened else _SILENCE
                events = poll.poll(wait)
                if not events and not self._unopened:
                    raise WrongAnswer(f"{len(self._open)} streams said nothing for {_SILENCE:g} s")
                for descriptor, _ in events:
                    if self._is_complete(descriptor):
                        poll.unregister(descriptor)
                        del self._open[descriptor]
        return self._found

    def _is_complete(self, descriptor: int) -> bool:
        connection, rest = self._open[descriptor]
        got = connection.recv(_BUFFER)
        now = time.monotonic_ns()
        lines, _, rest = (rest + got).rpartition(b"\n")
        if not got or (lines.startswith(b"HTTP/") and b" 200 " not in lines[:16]):
            raise WrongAnswer(f"a stream ended before its end, or never began: {(lines + rest)[:300]!r}")
        for due in _DUE.finditer(lines):
            late_ns = now - int(due[1])
            self._found.chunks += 1
            self._found.late += late_ns > LATE_NS
            self._found.latest_ns = max(self._found.latest_ns, late_ns)
        self._open[descriptor] = (connection, rest)
        return b"data: [DONE]" in lines
