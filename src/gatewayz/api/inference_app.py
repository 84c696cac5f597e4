"""Inference over plain ASGI: bytes in, bytes out, streams unbuffered."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from typing import Any

from gatewayz.accounts.authentication import authorize_model
from gatewayz.accounts.scopes import INFERENCE
from gatewayz.api.answer import Headers, Receive, Scope, Send, header, send_answer
from gatewayz.api.callers import Callers
from gatewayz.api.errors import error_body
from gatewayz.api.limit_headers import limit_headers
from gatewayz.api.once import OnlyOnce, name_of
from gatewayz.core.errors import GatewayzError, RequestTooLarge
from gatewayz.core.ids import random_id
from gatewayz.idempotency.service import Idempotency
from gatewayz.inference.model import parse_chat_request
from gatewayz.inference.preferences import preferences_of
from gatewayz.inference.replies import Replies, Reply
from gatewayz.inference.service import Call
from gatewayz.limits.errors import RateLimited
from gatewayz.responses.key import Tenant
from gatewayz.responses.plan import Plan, Plans

CHAT_PATH = "/v1/chat/completions"


class ChatApp:
    """POST /v1/chat/completions. `providers`: the slugs that a request may name. `max_body`: bytes a request body may
    have.
    """

    methods = ("POST",)

    def __init__(  # noqa: PLR0917  the parts
        self,
        callers: Callers,
        replies: Replies,
        plans: Plans,
        idempotency: Idempotency,
        providers: Collection[str],
        max_body: int,
    ) -> None:
        self._providers = providers
        self._callers = callers
        self._replies = replies
        self._plans = plans
        self._idempotency = idempotency
        self._only_once = OnlyOnce(idempotency)
        self._max_body = max_body

    def serves(self, path: str) -> bool:
        return path == CHAT_PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        caller = await self._callers.caller(scope, INFERENCE)
        body = await read_body(scope, receive, self._max_body)
        request = parse_chat_request(body)
        preferences = preferences_of(request.body, self._providers)
        for model in (request.model, *preferences.models):
            authorize_model(caller, model)
        plan = self._plans.of(Tenant(caller.account_id, caller.key_id), body, scope["headers"])

        async def run(send: Send, generation: str) -> None:
            call = Call(caller=caller, generation=generation, request=request, body=body, preferences=preferences)
            await self._answer(call, plan, send, own_headers)

        if (name := name_of(scope)) is not None:
            once = self._idempotency.named(caller.key_id, name, scope["path"], body)
            await self._only_once.answer(once, run, send, own_headers)
        else:
            await _unless_gone(receive, run(send, random_id("gen")))

    async def _answer(self, call: Call, plan: Plan, send: Send, own_headers: Headers) -> None:
        try:
            async with self._replies.reply(call, plan) as reply:
                await _send(reply, call, send, own_headers)
        except RateLimited as refused:
            own_headers += limit_headers(refused.standings, is_local=refused.is_local)
            raise


async def _send(reply: Reply, call: Call, send: Send, own_headers: Headers) -> None:
    headers: Headers = [
        (b"content-type", reply.content_type.encode("latin-1", "replace")),
        (b"x-gatewayz-provider", reply.provider.encode()),
        (b"x-generation-id", call.generation.encode()),
        *reply.note.headers,
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
        await _relay(reply.chunks, headers, send)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises RequestTooLarge as soon as it is known to be."""
    too_large = RequestTooLarge(f"the request body is larger than {limit} bytes")
    stated = header(scope, b"content-length")
    if stated is not None and stated.isdigit() and int(stated) > limit:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class ClientGone(Exception):
    """The client left before its request was whole."""


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
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


async def _relay(chunks: AsyncIterator[bytes], headers: Headers, send: Send) -> None:
    """Send chunks as they come.

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
        await send({"type": "http.response.body", "body": b"data: %b\n\n" % error_body(error), "more_body": True})
        raise
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
