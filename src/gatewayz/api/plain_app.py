"""Inference that only providers with OpenAI's form know: completions of bare text, and embeddings."""

from collections.abc import Callable, Collection, Mapping

from gatewayz.accounts.authentication import authorize_model
from gatewayz.accounts.scopes import INFERENCE
from gatewayz.api.answer import Headers, Receive, Scope, Send, send_answer
from gatewayz.api.callers import Callers
from gatewayz.api.exchange import read_body, relay, unless_gone
from gatewayz.api.limit_headers import limit_headers
from gatewayz.api.once import OnlyOnce, name_of
from gatewayz.core.ids import random_id
from gatewayz.idempotency.service import Idempotency
from gatewayz.inference.model import ChatRequest, parse_completion_request, parse_embedding_request
from gatewayz.inference.preferences import preferences_of
from gatewayz.inference.service import Call, InferenceService
from gatewayz.limits.errors import RateLimited

COMPLETIONS_PATH = "/v1/completions"
EMBEDDINGS_PATH = "/v1/embeddings"

_PARSERS: Mapping[str, Callable[[bytes], ChatRequest]] = {
    COMPLETIONS_PATH: parse_completion_request,
    EMBEDDINGS_PATH: parse_embedding_request,
}


class PlainApp:
    """POST /v1/completions and /v1/embeddings. `providers`, `max_body` as for ChatApp."""

    methods = ("POST",)

    def __init__(
        self,
        callers: Callers,
        inference: InferenceService,
        idempotency: Idempotency,
        providers: Collection[str],
        max_body: int,
    ) -> None:
        self._callers = callers
        self._inference = inference
        self._idempotency = idempotency
        self._only_once = OnlyOnce(idempotency)
        self._providers = providers
        self._max_body = max_body

    def serves(self, path: str) -> bool:
        return path in _PARSERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send, own_headers: Headers) -> None:
        """Answer; raises GatewayzError before anything is sent, for the caller to send."""
        caller = await self._callers.caller(scope, INFERENCE)
        body = await read_body(scope, receive, self._max_body)
        request = _PARSERS[scope["path"]](body)
        preferences = preferences_of(request.body, self._providers)
        for model in (request.model, *preferences.models):
            authorize_model(caller, model)

        async def run(send: Send, generation: str) -> None:
            call = Call(caller=caller, generation=generation, request=request, body=body, preferences=preferences)
            await self._answer(call, send, own_headers)

        if (name := name_of(scope)) is not None:
            once = self._idempotency.named(caller.key_id, name, scope["path"], body)
            await self._only_once.answer(once, run, send, own_headers)
        else:
            await unless_gone(receive, run(send, random_id("gen")))

    async def _answer(self, call: Call, send: Send, own_headers: Headers) -> None:
        try:
            await self._serve(call, send, own_headers)
        except RateLimited as refused:
            own_headers += limit_headers(refused.standings, is_local=refused.is_local)
            raise

    async def _serve(self, call: Call, send: Send, own_headers: Headers) -> None:
        async with self._inference.chat(call) as served:
            headers: Headers = [
                (b"content-type", served.answer.content_type.encode("latin-1", "replace")),
                (b"x-gatewayz-provider", served.offer.provider.encode()),
                (b"x-generation-id", call.generation.encode()),
                *limit_headers(served.admitted.standings, is_local=served.admitted.is_local),
                *own_headers,
            ]
            if call.request.is_streaming:
                headers.append((b"cache-control", b"no-cache"))
                await relay(served.answer.chunks, headers, send)
            else:
                body = b"".join([chunk async for chunk in served.answer.chunks])
                headers.append((b"content-length", str(len(body)).encode()))
                await send_answer(send, 200, headers, body)
