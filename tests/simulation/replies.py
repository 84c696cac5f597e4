"""What a simulated Redis answers, and how it stands on the wire."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Reply: TypeAlias = "bytes | int | Status | Refusal | Sequence[Reply] | Mapping[bytes, Reply] | None"


class Status(bytes):
    """A simple string."""


class Refusal(Exception):
    """An error reply; raised by what refuses."""

    @property
    def text(self) -> str:
        return str(self)


OK = Status(b"OK")
NIL = b"_\r\n"


def encoded(reply: Reply) -> bytes:  # noqa: PLR0911  one for each kind
    """RESP3."""
    if reply is None:
        return NIL
    if isinstance(reply, Status):
        return b"+%b\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, Refusal):
        return b"-%b\r\n" % reply.text.encode()
    if isinstance(reply, Mapping):
        parts = [encoded(each) for pair in reply.items() for each in pair]
        return b"%%%d\r\n%b" % (len(reply), b"".join(parts))
    return b"*%d\r\n%b" % (len(reply), b"".join(map(encoded, reply)))


def pushed(key: bytes | None) -> bytes:
    """An invalidation; None: any key may have changed."""
    body = NIL if key is None else b"*1\r\n$%d\r\n%b\r\n" % (len(key), key)
    return b">2\r\n$10\r\ninvalidate\r\n" + body
