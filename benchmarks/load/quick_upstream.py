"""A provider that takes some 15 µs for an answer: a protocol on raw sockets, for measuring what stands before it.

The path before /chat/completions names what it does: `/now` answers at once, `/late` after 250 ms, and each streams
64 chunks, one every 20 ms, to who asks for a stream. The content of a chunk is the nanosecond of the monotonic clock,
which all processes of a machine share, at which it was due: who receives it knows how late it is. `GET /asked` says how
many answers were asked for.

Run: python -m benchmarks.load.quick_upstream PORT
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.load.driver import Address
from benchmarks.load.process import free_port, running, wait_until_answers
from benchmarks.load.servers import fetch
from benchmarks.machine import ROOT

CHUNKS = 64
GAP = 0.020
LATE = 0.250
MODEL = "rocket-1"

_GAP_NS = round(GAP * 1e9)
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_USAGE = {"prompt_tokens": 9, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 9}
_OF_ALL = {"id": "chatcmpl-quick", "created": 1, "model": MODEL}


def _with_length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _chunk(content: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return json.dumps({**_OF_ALL, "object": "chat.completion.chunk", "choices": [choice]}).encode()


def _event(data: bytes) -> bytes:
    return _framed(b"data: " + data + b"\n\n")


def _framed(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


_MESSAGE = {"role": "assistant", "content": "Fine words from a quick provider. " * 4}
_CHOICE = {"index": 0, "message": _MESSAGE, "finish_reason": "stop"}
_WHOLE = _with_length(
    json.dumps({**_OF_ALL, "object": "chat.completion", "choices": [_CHOICE], "usage": _USAGE}).encode()
)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_DUE_HERE = "@"
_BEFORE_DUE, _, _AFTER_DUE = _chunk(_DUE_HERE).partition(_DUE_HERE.encode())
_USED = json.dumps({**_OF_ALL, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}).encode()
_STREAM_END = _event(_chunk("", "stop")) + _event(_USED) + _event(b"[DONE]") + _framed(b"")


class Upstream:
    """What its connections share."""

    def __init__(self) -> None:
        self.asked = 0


class Connection(asyncio.Protocol):
    """One request at a time, as HTTP/1.1 clients send them that do not pipeline."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        end = received.find(_HEAD_END)
        if end < 0:
            return
        head = received[:end].lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(received) < end + len(_HEAD_END) + length:
            return
        self._received = b""
        self._answer(head, received[end + len(_HEAD_END) :])

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get "):
            self._transport.write(_with_length(b"%d" % self._upstream.asked))
            return
        self._upstream.asked += 1
        if b'"stream":true' in body.replace(b": ", b":"):
            self._transport.write(_STREAM_HEAD)
            self._send_chunk(time.monotonic_ns(), CHUNKS)
        elif head.startswith(b"post /late/"):
            self._loop.call_later(LATE, self._transport.write, _WHOLE)
        else:
            self._transport.write(_WHOLE)

    def _send_chunk(self, due_ns: int, left: int) -> None:
        """Each is due one gap after the last was, however late that was sent."""
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(_STREAM_END)
            return
        self._transport.write(_event(b"%b%d%b" % (_BEFORE_DUE, due_ns, _AFTER_DUE)))
        next_ns = due_ns + _GAP_NS
        self._loop.call_later(max(0, next_ns - time.monotonic_ns()) / 1e9, self._send_chunk, next_ns, left - 1)


async def _serve(port: int) -> None:
    upstream = Upstream()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(upstream), "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


class Running:
    """The upstream, seen from the benchmark."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def url(self, behaviour: str) -> str:
        return f"http://{self.address[0]}:{self.address[1]}/{behaviour}"

    def asked(self) -> int:
        return int(fetch(self.address, "/asked").body)


@contextmanager
def quick_upstream(place: Path, *, core: int) -> Iterator[Running]:
    port, log = free_port(), place / "upstream.log"
    command = [sys.executable, "-m", "benchmarks.load.quick_upstream", str(port)]
    with running(command, environment={}, directory=ROOT, log=log, core=core) as process:
        wait_until_answers(process, port, "/asked", log=log, within=20)
        yield Running(("127.0.0.1", port))


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
