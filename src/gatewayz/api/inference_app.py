"""Chats over plain ASGI: bytes in, bytes out, streams unbuffered."""

from gatewayz.api.answer import Headers, Receive, Scope, Send
from gatewayz.api.asking import Asking
from gatewayz.api.at_once import AtOnce
from gatewayz.api.once import name_of
from gatewayz.api.reply import send_reply
from gatewayz.core.ids import random_id
from gatewayz.inference.model import parse_chat_request
from gatewayz.inference.replies import Replies
from gatewayz.responses.key import Tenant
from gatewayz.responses.plan import Plans

CHAT_PATH = "/v1/chat/completions"


class ChatApp:
    """POST /v1/chat/completions."""

    methods = ("POST",)

    def __init__(self, asking: Asking, at_once: AtOnce, replies: Replies, plans: Plans) -> None:
        self._asking = asking
        self._at_once = at_once
        self._replies = replies
        self._plans = plans

    def serves(self, path: str) -> bool:
        return path == CHAT_PATH

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        asked = await self._asking.asked(scope, receive, parse_chat_request)
        tenant = Tenant(asked.caller.account_id, asked.caller.key_id)
        plan = self._plans.of(tenant, asked.request.values, scope["headers"])
        if name_of(scope) is None and (entry := self._replies.at_hand(plan)) is not None:
            self._at_once.remember(asked, plan)
            call = asked.call(random_id("gen"))
            await send_reply(await self._replies.at_once(call, entry), call, send, own_headers)
            return

        async def answer(send: Send, generation: str) -> None:
            call = asked.call(generation)
            async with self._replies.reply(call, plan) as reply:
                if reply.is_hit:
                    self._at_once.remember(asked, plan)
                await send_reply(reply, call, send, own_headers)

        await self._asking.run(asked, answer, scope, receive, send, own_headers)
