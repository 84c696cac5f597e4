"""Of how many tokens a prompt is: by the provider where it counts, else by an estimate."""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gatewayz.accounts.provider_keys import ProviderKeys
from gatewayz.core.errors import OwnKeyRefused, ProviderFailed
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.inference.attempts import Attempts
from gatewayz.inference.estimate import estimate
from gatewayz.inference.routing import Router
from gatewayz.inference.service import Call, wanting_nothing
from gatewayz.inference.turnstile import Turnstile
from gatewayz.limits.model import Admitted
from gatewayz.providers.dialects.chat import Endpoint


class TokenCount(Struct, frozen=True):
    """`provider`: who has counted; None for an estimate."""

    tokens: int
    provider: str | None
    admitted: Admitted


class _Said(Struct, frozen=True):
    input_tokens: int


class TokenCounts:
    def __init__(self, router: Router, turnstile: Turnstile, attempts: Attempts, provider_keys: ProviderKeys) -> None:
        self._router = router
        self._turnstile = turnstile
        self._attempts = attempts
        self._provider_keys = provider_keys

    async def count(self, call: Call) -> TokenCount:
        """Counts against the limits on requests, and costs nothing. Raises what ProviderKeys.of, Router.route and
        Turnstile.passed raise, and InvalidRequest or OwnKeyRefused where a provider finds fault with the request, or
        with a key of the caller's own.
        """
        request = call.request
        bounds = estimate(request, call.body)
        keys = await self._provider_keys.of(call.caller)
        route = await self._router.route(request.model, call.preferences, bounds, keys)
        asked = replace(request, endpoint=Endpoint.TOKENS, is_streaming=False)
        async with self._turnstile.passed(wanting_nothing(call)) as let_in:
            try:
                async with self._attempts.opened(asked, route) as opened:
                    body = b"".join([chunk async for chunk in opened.answer.chunks])
                said = msgspec.json.decode(body, type=_Said)
            except OwnKeyRefused:
                raise
            except (ProviderFailed, *UNREADABLE):
                return TokenCount(max(1, bounds.likely_prompt), None, let_in.admitted)
            return TokenCount(said.input_tokens, opened.way.offer.provider, let_in.admitted)
