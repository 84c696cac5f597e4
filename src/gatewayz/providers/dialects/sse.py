"""Server-sent events (the HTML standard, 9.2.6): read out of bytes that may be split anywhere, and written."""

import re

from msgspec import Struct

LONGEST_EVENT = 16 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\n|\r")


class ServerEvent(Struct, frozen=True):
    name: str
    data: bytes


def named_event(name: str, data: bytes) -> bytes:
    """As it goes over the wire. `data`: one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class EventTooLong(Exception):
    """More than LONGEST_EVENT bytes without the end of an event."""


class EventParser:
    """Feed it the stream as it comes; it gives back the events that have become whole.

    An event that the stream ends in the middle of never was one. Comments and events without data are left out.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._ended_in_cr = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        if self._ended_in_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if chunk:
            self._ended_in_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk)
        if not lines:
            self._rest += rest
        else:
            lines[0] = self._rest + lines[0]
            self._rest = rest
        events = [event for line in lines if (event := self._line(line)) is not None]
        if len(self._rest) + self._size > LONGEST_EVENT:
            raise EventTooLong
        return events

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._dispatched()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        return None

    def _dispatched(self) -> ServerEvent | None:
        event = ServerEvent(self._name or "message", b"\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event
