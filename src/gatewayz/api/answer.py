"""The smallest thing that can be sent: a whole answer over plain ASGI."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from gatewayz.api.error_forms import body_for
from gatewayz.api.errors import STATUS, error_headers
from gatewayz.core.errors import GatewayzError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

REQUEST_ID = b"x-request-id"
JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header with this lower-case name, or None."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


def header_list(scope: Scope, name: bytes) -> bytes | None:
    """All headers with this lower-case name as the one list that they mean together, or None."""
    found = [value for key, value in scope["headers"] if key == name]
    if len(found) <= 1:
        return found[0] if found else None
    return b",".join(found)


async def send_answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def whole_answer(status: int, headers: Headers, body: bytes) -> bytes:
    """A whole answer as it stands on the wire."""
    head = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, _PHRASES[status], head, body)


async def send_json(send: Send, body: bytes, *, status: int = 200, headers: Headers | None = None) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send_answer(send, status, [JSON, length, *(headers or [])], body)


async def send_error(send: Send, error: GatewayzError, *, headers: Headers | None = None, path: str = "") -> None:
    """In the form that callers of the path read."""
    own = [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
    await send_json(send, body_for(path, error), status=STATUS[error.kind], headers=[*own, *(headers or [])])
