"""Inference over plain ASGI: bytes in, bytes out, streams unbuffered."""

from collections.abc import Collection

from gatewayz.accounts.authentication import authorize_model
from gatewayz.accounts.scopes import INFERENCE
from gatewayz.api.answer import Headers, Receive, Scope, Send, send_answer
from gatewayz.api.callers import Callers
from gatewayz.api.exchange import read_body, relay, unless_gone
from gatewayz.api.limit_headers import limit_headers
from gatewayz.api.once import OnlyOnce, name_of
from gatewayz.core.ids import random_id
from gatewayz.idempotency.service import Idempotency
from gatewayz.inference.model import parse_chat_request
from gatewayz.inference.preferences import preferences_of
from gatewayz.inference.replies import Replies, Reply
from gatewayz.inference.service import Call
from gatewayz.limits.errors import RateLimited
from gatewayz.responses.answer import CachedAnswer
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
        plan = self._plans.of(Tenant(caller.account_id, caller.key_id), request.values, scope["headers"])

        def called(generation: str) -> Call:
            return Call(caller=caller, generation=generation, request=request, body=body, preferences=preferences)

        async def run(send: Send, generation: str) -> None:
            await self._answer(called(generation), plan, send, own_headers)

        if (name := name_of(scope)) is not None:
            once = self._idempotency.named(caller.key_id, name, scope["path"], body)
            await self._only_once.answer(once, run, send, own_headers)
        elif (entry := self._replies.at_hand(plan)) is not None:
            await self._answer(called(random_id("gen")), plan, send, own_headers, entry)
        else:
            await unless_gone(receive, run(send, random_id("gen")))

    async def _answer(
        self, call: Call, plan: Plan, send: Send, own_headers: Headers, entry: CachedAnswer | None = None
    ) -> None:
        try:
            if entry is not None:
                await _send(await self._replies.at_once(call, entry), call, send, own_headers)
                return
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
        await relay(reply.chunks, headers, send)
