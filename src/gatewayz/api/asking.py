"""What every endpoint of inference does around its answer: who asks for what, whether they may, how often it runs."""

from collections.abc import Callable, Collection

from msgspec import Struct

from gatewayz.accounts.authentication import authorize_model
from gatewayz.accounts.model import Principal
from gatewayz.accounts.scopes import INFERENCE
from gatewayz.api.answer import Headers, Receive, Scope, Send
from gatewayz.api.callers import Callers
from gatewayz.api.exchange import read_body, unless_gone
from gatewayz.api.once import OnlyOnce, Run, name_of
from gatewayz.core.course import course
from gatewayz.core.ids import random_id
from gatewayz.idempotency.service import Idempotency
from gatewayz.inference.model import ChatRequest
from gatewayz.inference.preferences import Preferences, preferences_of
from gatewayz.inference.service import Call


class Asked(Struct, frozen=True):
    """A request whose caller may ask for its models. `body`: as it came; `chat`: what the request was read from."""

    caller: Principal
    request: ChatRequest
    body: bytes
    chat: bytes
    preferences: Preferences

    def call(self, generation: str) -> Call:
        return Call(
            caller=self.caller,
            generation=generation,
            request=self.request,
            body=self.chat,
            preferences=self.preferences,
        )


def _as_it_came(body: bytes) -> bytes:
    return body


class Asking:
    """`providers`: the slugs that a request may name. `max_body`: bytes a request body may have."""

    def __init__(self, callers: Callers, idempotency: Idempotency, providers: Collection[str], max_body: int) -> None:
        self._callers = callers
        self._idempotency = idempotency
        self._only_once = OnlyOnce(idempotency)
        self._providers = providers
        self._max_body = max_body

    async def asked(
        self,
        scope: Scope,
        receive: Receive,
        parse: Callable[[bytes], ChatRequest],
        *,
        translate: Callable[[bytes], bytes] = _as_it_came,
    ) -> Asked:
        """`translate`: makes of the body what `parse` can read. Raises GatewayzError where the key, the body or the
        models will not do.
        """
        caller = await self._callers.caller(scope, INFERENCE)
        body = await read_body(scope, receive, self._max_body)
        chat = translate(body)
        request = parse(chat)
        course().is_stream = request.is_streaming
        preferences = preferences_of(request.body, self._providers)
        for model in (request.model, *preferences.models):
            authorize_model(caller, model)
        return Asked(caller, request, body, chat, preferences)

    async def run(  # noqa: PLR0917  ASGI's three, and what goes with every answer
        self, asked: Asked, answer: Run, scope: Scope, receive: Receive, send: Send, own_headers: Headers
    ) -> None:
        """Answer once where the request has a name, else unless the client leaves before."""
        if (name := name_of(scope)) is not None:
            once = self._idempotency.named(asked.caller.key_id, name, scope["path"], asked.body)
            await self._only_once.answer(once, answer, send, own_headers)
        else:
            await unless_gone(receive, answer(send, random_id("gen")))

    async def finish(self, within: float) -> None:
        """Wait, so many seconds at most, for what runs on though its caller has left."""
        await self._only_once.finish(within)
