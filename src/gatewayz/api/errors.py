"""Errors as clients see them: OpenAI's body, one status per kind, from one table."""

import math

import msgspec
from msgspec import Struct

from gatewayz.cache.errors import LoadFailed
from gatewayz.core.errors import ErrorKind, GatewayzError, Unavailable

STATUS: dict[ErrorKind, int] = {
    ErrorKind.INVALID_REQUEST: 400,
    ErrorKind.PRICE_UNKNOWN: 400,
    ErrorKind.CONTENT_FILTER: 400,
    ErrorKind.CONTEXT_LENGTH_EXCEEDED: 400,
    ErrorKind.INVALID_API_KEY: 401,
    ErrorKind.SCOPE_MISSING: 403,
    ErrorKind.PROVIDER_KEY_REFUSED: 403,
    ErrorKind.MODEL_NOT_ALLOWED: 403,
    ErrorKind.ADDRESS_NOT_ALLOWED: 403,
    ErrorKind.MODEL_NOT_FOUND: 404,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.METHOD_NOT_ALLOWED: 405,
    ErrorKind.CONFLICT: 409,
    ErrorKind.IDEMPOTENCY_KEY_IN_USE: 409,
    ErrorKind.REQUEST_TOO_LARGE: 413,
    ErrorKind.IDEMPOTENCY_KEY_REUSED: 422,
    ErrorKind.INSUFFICIENT_QUOTA: 429,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.HEADERS_TOO_LARGE: 431,
    ErrorKind.INTERNAL: 500,
    ErrorKind.PROVIDER_ERROR: 502,
    ErrorKind.PROVIDER_NOT_CONFIGURED: 503,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.NOT_CACHED: 504,
}

# OpenAI's `type`, which SDKs print but do not branch on.
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

# Of statuses that clients ask again after: what stays as it is until somebody changes something.
_FINAL = frozenset(
    {
        ErrorKind.INSUFFICIENT_QUOTA,
        ErrorKind.RATE_LIMITED,
        ErrorKind.PROVIDER_NOT_CONFIGURED,
        ErrorKind.NOT_CACHED,
    }
)


class ErrorDetail(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(Struct, frozen=True):
    error: ErrorDetail


def for_client(error: GatewayzError | LoadFailed) -> GatewayzError:
    """What a client is told. A load fails for its loader's reason, which is ours to tell only where it is of a kind."""
    if isinstance(error, GatewayzError):
        return error
    if isinstance(error.__cause__, GatewayzError):
        return error.__cause__
    return Unavailable("the gateway cannot read its own data now; try again in a moment")


def error_headers(error: GatewayzError) -> dict[str, str]:
    """`Retry-After` where it is known, in whole seconds, never too early. Where asking again would change nothing,
    OpenAI's clients are told so: by the status alone they would.
    """
    if error.retry_after is not None:
        return {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    return {"x-should-retry": "false"} if error.kind in _FINAL else {}


def error_body(error: GatewayzError) -> bytes:
    status = STATUS[error.kind]
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    param = None if error.param is None else written(error.param)
    return msgspec.json.encode(ErrorBody(ErrorDetail(written(error.message), kind, param, str(error.kind))))


def written(text: str) -> str:
    """The text with halves of surrogate pairs spelled out: a caller's JSON may hold them, ours must not."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
