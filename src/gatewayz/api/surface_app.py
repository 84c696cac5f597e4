"""Chats in other forms than OpenAI's chat: translated at the edge, in between like every other."""

from collections.abc import AsyncIterator, Mapping

from msgspec.structs import replace

from gatewayz.api.answer import Headers, Receive, Scope, Send
from gatewayz.api.asking import Asking
from gatewayz.api.error_forms import MESSAGES, RESPONSES
from gatewayz.api.reply import send_reply
from gatewayz.inference.model import parse_chat_request
from gatewayz.inference.replies import EVENTS, JSON, Replies, Reply
from gatewayz.inference.surfaces.messages.surface import MessagesSurface
from gatewayz.inference.surfaces.responses.surface import ResponsesSurface
from gatewayz.inference.surfaces.surface import Answering, Events, Surface
from gatewayz.providers.dialects.upstream import resumed
from gatewayz.responses.key import Tenant
from gatewayz.responses.plan import Plans

SURFACES: Mapping[str, Surface] = {MESSAGES: MessagesSurface(), RESPONSES: ResponsesSurface()}


class SurfaceApp:
    """POST to one of SURFACES."""

    methods = ("POST",)

    def __init__(self, asking: Asking, replies: Replies, plans: Plans) -> None:
        self._asking = asking
        self._replies = replies
        self._plans = plans

    def serves(self, path: str) -> bool:
        return path in SURFACES

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        surface = SURFACES[scope["path"]]
        asked = await self._asking.asked(scope, receive, parse_chat_request, translate=surface.chat)
        answering = surface.answering(asked.body)
        tenant = Tenant(asked.caller.account_id, asked.caller.key_id)
        plan = self._plans.of(tenant, asked.request.values, scope["headers"])

        async def answer(send: Send, generation: str) -> None:
            call = asked.call(generation)
            async with self._replies.reply(call, plan) as reply:
                told = await _told(reply, answering, is_streaming=call.request.is_streaming)
                await send_reply(told, call, send, own_headers, path=scope["path"])

        await self._asking.run(asked, answer, scope, receive, send, own_headers)


async def _told(reply: Reply, answering: Answering, *, is_streaming: bool) -> Reply:
    """The same in the caller's form."""
    chunks = resumed(reply.body or b"") if reply.chunks is None else reply.chunks
    if is_streaming:
        return replace(reply, content_type=EVENTS, body=None, chunks=_events(answering.events(), chunks))
    whole = answering.whole(b"".join([chunk async for chunk in chunks]))
    return replace(reply, content_type=JSON, body=whole, chunks=None)


async def _events(events: Events, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Each as soon as what it says has come."""
    async for chunk in chunks:
        if told := events.feed(chunk):
            yield told
    yield events.end()
