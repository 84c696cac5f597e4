"""Inference that only providers with OpenAI's form know: completions of bare text, and embeddings."""

from collections.abc import Callable, Mapping

from gatewayz.api.answer import Headers, Receive, Scope, Send
from gatewayz.api.asking import Asking
from gatewayz.api.reply import send_reply
from gatewayz.inference.model import ChatRequest, parse_completion_request, parse_embedding_request
from gatewayz.inference.replies import passed_on
from gatewayz.inference.service import InferenceService

COMPLETIONS_PATH = "/v1/completions"
EMBEDDINGS_PATH = "/v1/embeddings"

_PARSERS: Mapping[str, Callable[[bytes], ChatRequest]] = {
    COMPLETIONS_PATH: parse_completion_request,
    EMBEDDINGS_PATH: parse_embedding_request,
}


class PlainApp:
    """POST /v1/completions and /v1/embeddings."""

    methods = ("POST",)

    def __init__(self, asking: Asking, inference: InferenceService) -> None:
        self._asking = asking
        self._inference = inference

    def serves(self, path: str) -> bool:
        return path in _PARSERS

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        asked = await self._asking.asked(scope, receive, _PARSERS[scope["path"]])

        async def answer(send: Send, generation: str) -> None:
            call = asked.call(generation)
            async with self._inference.chat(call) as served:
                await send_reply(passed_on(served), call, send, own_headers)

        await self._asking.run(asked, answer, scope, receive, send, own_headers)
