"""Who sends a request: the key that it shows, from where it comes."""

from gatewayz.accounts.authentication import Authentication
from gatewayz.accounts.model import Principal
from gatewayz.api.answer import Scope, header
from gatewayz.api.client_address import ClientAddresses


class Callers:
    def __init__(self, authentication: Authentication, addresses: ClientAddresses) -> None:
        self._authentication = authentication
        self._addresses = addresses

    async def caller(self, request: Scope, scope: str | None = None) -> Principal:
        """Who sends the request, if their key has the scope. Raises what `Authentication.authenticate` does."""
        return await self._authentication.authenticate(
            presented_key(request), scope, lambda: self._addresses.of(request)
        )


def presented_key(request: Scope) -> str:
    """The secret from `Authorization: Bearer` or `x-api-key`; empty if neither is there."""
    bearer = header(request, b"authorization")
    if bearer is not None:
        scheme, _, secret = bearer.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
    return (header(request, b"x-api-key") or b"").decode("latin-1")
