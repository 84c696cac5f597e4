"""The tokens of a message, counted over plain ASGI."""

import msgspec

from gatewayz.api.answer import Headers, Receive, Scope, Send, send_json
from gatewayz.api.asking import Asking
from gatewayz.api.error_forms import MESSAGES
from gatewayz.api.limit_headers import limit_headers
from gatewayz.inference.model import parse_chat_request
from gatewayz.inference.surfaces.messages.request import chat_of
from gatewayz.inference.token_counts import TokenCount, TokenCounts

TOKENS_PATH = f"{MESSAGES}/count_tokens"


class TokensApp:
    """POST /v1/messages/count_tokens."""

    methods = ("POST",)

    def __init__(self, asking: Asking, counts: TokenCounts) -> None:
        self._asking = asking
        self._counts = counts

    def serves(self, path: str) -> bool:
        return path == TOKENS_PATH

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        asked = await self._asking.asked(scope, receive, parse_chat_request, translate=_chat)

        async def answer(send: Send, generation: str) -> None:
            count = await self._counts.count(asked.call(generation))
            limits = limit_headers(count.admitted.standings, is_local=count.admitted.is_local)
            await send_json(send, _body(count), headers=[*_provider(count), *limits, *own_headers])

        await self._asking.run(asked, answer, scope, receive, send, own_headers)


def _chat(body: bytes) -> bytes:
    return msgspec.json.encode(chat_of(body, is_bounded=False))


def _body(count: TokenCount) -> bytes:
    """Anthropic's. What it has no word for stands under `gatewayz`."""
    marked = {} if count.provider is not None else {"gatewayz": {"is_estimate": True}}
    return msgspec.json.encode({"input_tokens": count.tokens, **marked})


def _provider(count: TokenCount) -> Headers:
    return [] if count.provider is None else [(b"x-gatewayz-provider", count.provider.encode())]
