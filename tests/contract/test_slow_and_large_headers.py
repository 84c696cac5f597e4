"""What a client may not do to a connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.listening import listening

from gatewayz.api.answer import send_json
from gatewayz.api.exchange import read_body
from gatewayz.api.protocol import BoundedProtocol

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n"


class Impatient(BoundedProtocol):
    headers_within = 0.2
    body_bytes_within = 0.2


async def polite(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI's own types
    """Reads the body and says how long it was."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = await read_body(scope, receive, 1_000_000)
    await send_json(send, json.dumps({"bytes": len(body)}).encode())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with listening(polite, Impatient) as port:
        yield port


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


async def test_headers_beyond_the_bound_are_refused_in_openais_form(port: int) -> None:
    lines = [b"x-%d: " % number + b"a" * 8_000 + b"\r\n" for number in range(40)]
    head, _, body = (await answer_to(port, REQUEST, *lines)).partition(b"\r\n\r\n")
    assert b" 431 " in head.partition(b"\r\n")[0]
    assert json.loads(body)["error"]["code"] == "headers_too_large"


async def test_a_client_that_dawdles_over_its_headers_is_cut_off(port: int) -> None:
    assert await answer_to(port, REQUEST) == b""


async def test_a_body_that_stalls_is_cut_off(port: int) -> None:
    assert await answer_to(port, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n{") == b""


async def test_a_large_body_behind_its_headers_is_no_large_header(port: int) -> None:
    body = b"a" * 500_000
    head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert b'{"bytes": 500000}' in await answer_to(port, head + body)


async def test_a_connection_may_rest_between_requests(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(REQUEST + b"\r\n")
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"}"), 30)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 3 * Impatient.headers_within)
    writer.close()
