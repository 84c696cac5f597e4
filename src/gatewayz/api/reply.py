"""An answer of inference on its way out: its headers, and its bytes as they come."""

from gatewayz.api.answer import Headers, Send, send_answer
from gatewayz.api.exchange import relay
from gatewayz.api.limit_headers import limit_headers
from gatewayz.inference.replies import Reply
from gatewayz.inference.service import Call


def reply_headers(reply: Reply, call: Call, own_headers: Headers) -> Headers:
    """All that go with it; its length only where it is at hand."""
    headers: Headers = [
        (b"content-type", reply.content_type.encode("latin-1", "replace")),
        (b"x-gatewayz-provider", reply.provider.encode()),
        (b"x-generation-id", call.generation.encode()),
        *(reply.note.headers if reply.note is not None else ()),
        *limit_headers(reply.admitted.standings, is_local=reply.admitted.is_local),
        *own_headers,
    ]
    if call.request.is_streaming:
        headers.append((b"cache-control", b"no-cache"))
    if reply.body is not None:
        headers.append(_length(reply.body))
    return headers


async def send_reply(reply: Reply, call: Call, send: Send, own_headers: Headers, *, path: str = "") -> None:
    """`path`: whose callers read it."""
    headers = reply_headers(reply, call, own_headers)
    if reply.body is not None:
        await send_answer(send, 200, headers, reply.body)
    elif reply.chunks is not None and call.request.is_streaming:
        await relay(reply.chunks, headers, send, path)
    elif reply.chunks is not None:
        body = b"".join([chunk async for chunk in reply.chunks])
        await send_answer(send, 200, [*headers, _length(body)], body)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)
