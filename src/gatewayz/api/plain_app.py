"""Inference that only providers with OpenAI's form know, and that is never kept: completions of bare text."""

from gatewayz.api.answer import Headers, Receive, Scope, Send
from gatewayz.api.asking import Asking
from gatewayz.api.reply import send_reply
from gatewayz.inference.model import parse_completion_request
from gatewayz.inference.replies import passed_on
from gatewayz.inference.service import InferenceService

COMPLETIONS_PATH = "/v1/completions"


class PlainApp:
    """POST /v1/completions."""

    methods = ("POST",)

    def __init__(self, asking: Asking, inference: InferenceService) -> None:
        self._asking = asking
        self._inference = inference

    def serves(self, path: str) -> bool:
        return path == COMPLETIONS_PATH

    def endpoint(self, path: str) -> str:
        return path

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        asked = await self._asking.asked(scope, receive, parse_completion_request)

        async def answer(send: Send, generation: str) -> None:
            call = asked.call(generation)
            async with self._inference.chat(call) as served:
                await send_reply(passed_on(served), call, send, own_headers)

        await self._asking.run(asked, answer, scope, receive, send, own_headers)
