"""The two directions of an exchange with a client over plain ASGI: a body that comes, and an answer that goes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from gatewayz.api.answer import Headers, Receive, Scope, Send, header
from gatewayz.api.error_forms import event_for
from gatewayz.core.errors import GatewayzError, RequestTooLarge


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises RequestTooLarge as soon as it is known to be."""
    stated = header(scope, b"content-length")
    if stated is not None and stated.isdigit() and int(stated) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the request body is larger than {limit} bytes")


class ClientGone(Exception):
    """The client left before its request was whole."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, unless the client leaves first: then it is cancelled, and the provider's work with it."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.wait({working, gone})


async def relay(chunks: AsyncIterator[bytes], headers: Headers, send: Send, path: str = "") -> None:
    """Send chunks as they come. `path`: whose callers read them.

    A provider that breaks before its first byte is an error for the caller to answer; later, an event says what went
    wrong, and the stream is cut, which tells who does not read it that the answer is not whole.
    """
    first = await anext(chunks, b"")
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    try:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except GatewayzError as error:
        await send({"type": "http.response.body", "body": event_for(path, error), "more_body": True})
        raise
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
