"""An answer of inference on its way out: its headers, and its bytes as they come."""

from gatewayz.api.answer import Headers, Send, send_answer
from gatewayz.api.exchange import relay
from gatewayz.api.limit_headers import limit_headers
from gatewayz.inference.replies import Reply
from gatewayz.inference.service import Call


async def send_reply(reply: Reply, call: Call, send: Send, own_headers: Headers) -> None:
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
    body = reply.body
    if body is None and not call.request.is_streaming and reply.chunks is not None:
        body = b"".join([chunk async for chunk in reply.chunks])
    if body is not None:
        headers.append((b"content-length", str(len(body)).encode()))
        await send_answer(send, 200, headers, body)
    elif reply.chunks is not None:
        await relay(reply.chunks, headers, send)
