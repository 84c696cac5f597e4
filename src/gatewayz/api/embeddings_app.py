"""Vectors over plain ASGI."""

from gatewayz.api.answer import Headers, Receive, Scope, Send
from gatewayz.api.asking import Asking
from gatewayz.api.once import name_of
from gatewayz.api.reply import send_reply
from gatewayz.core.ids import random_id
from gatewayz.inference.model import parse_embedding_request
from gatewayz.inference.vectors import VectorReplies
from gatewayz.responses.items import ItemsPlans
from gatewayz.responses.key import Tenant

EMBEDDINGS_PATH = "/v1/embeddings"


class EmbeddingsApp:
    """POST /v1/embeddings."""

    methods = ("POST",)

    def __init__(self, asking: Asking, replies: VectorReplies, plans: ItemsPlans) -> None:
        self._asking = asking
        self._replies = replies
        self._plans = plans

    def serves(self, path: str) -> bool:
        return path == EMBEDDINGS_PATH

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        asked = await self._asking.asked(scope, receive, parse_embedding_request)
        tenant = Tenant(asked.caller.account_id, asked.caller.key_id)
        plan = self._plans.of(tenant, asked.request.values, scope["headers"])
        if name_of(scope) is None and (vectors := self._replies.at_hand(plan)) is not None:
            call = asked.call(random_id("gen"))
            await send_reply(await self._replies.at_once(call, plan, vectors), call, send, own_headers)
            return

        async def answer(send: Send, generation: str) -> None:
            call = asked.call(generation)
            async with self._replies.reply(call, plan) as reply:
                await send_reply(reply, call, send, own_headers)

        await self._asking.run(asked, answer, scope, receive, send, own_headers)
