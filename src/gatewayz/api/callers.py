"""Who sends a request: the key that it shows, from where it comes."""

from typing import Protocol

from gatewayz.accounts.authentication import Authentication
from gatewayz.accounts.model import Principal
from gatewayz.accounts.scopes import ADMIN
from gatewayz.api.answer import Scope, header
from gatewayz.api.client_address import ClientAddresses
from gatewayz.core.ids import KeyDigest


class Sessions(Protocol):
    def key_of(self, request: Scope) -> KeyDigest | None:
        """Of which key the session is that the request shows; None where it shows none that is good."""
        ...


class Callers:
    """`sessions`: another way to show an admin key, for what wants one. Nothing else takes it."""

    def __init__(
        self, authentication: Authentication, addresses: ClientAddresses, sessions: Sessions | None = None
    ) -> None:
        self._authentication = authentication
        self._addresses = addresses
        self._sessions = sessions

    async def caller(self, request: Scope, scope: str | None = None) -> Principal:
        """Who sends the request, if their key has the scope. Raises what `Authentication.authenticate` does."""
        secret = presented_key(request)
        if not secret and scope == ADMIN and self._sessions is not None:
            digest = self._sessions.key_of(request)
            if digest is not None:
                return await self._authentication.recognise(digest, scope, lambda: self._addresses.of(request))
        return await self._authentication.authenticate(secret, scope, lambda: self._addresses.of(request))

    def known_caller(self, request: Scope, scope: str) -> Principal | None:
        """The same where this worker's memory tells it; None says nothing."""
        return self._authentication.known(presented_key(request), scope)


def presented_key(request: Scope) -> str:
    """The secret from `Authorization: Bearer` or `x-api-key`; empty if neither is there."""
    bearer = header(request, b"authorization")
    if bearer is not None:
        scheme, _, secret = bearer.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
    return (header(request, b"x-api-key") or b"").decode("latin-1")
