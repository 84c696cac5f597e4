"""How a provider wants to be shown the key."""

from collections.abc import Mapping

from msgspec import Struct


class Auth(Struct, frozen=True):
    """The header that carries the key, and what stands before it there."""

    header: str
    prefix: str = ""


BEARER = Auth("Authorization", "Bearer ")
X_API_KEY = Auth("x-api-key")
X_GOOG_API_KEY = Auth("x-goog-api-key")
API_KEY = Auth("api-key")


def request_headers(auth: Auth, static: Mapping[str, str], api_key: str | None) -> dict[str, str]:
    """The headers of every request to a provider; the key only where there is one."""
    headers = dict(static)
    if api_key:
        headers[auth.header] = f"{auth.prefix}{api_key}"
    return headers
