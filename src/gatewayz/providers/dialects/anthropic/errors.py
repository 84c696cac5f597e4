"""What Anthropic says went wrong, by a status or inside a stream."""

from msgspec import Struct

from gatewayz.core.errors import GatewayzError
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import blamed, error_in, failed

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""By an error's type, for one inside a stream, which has no status of its own."""
_CALLERS_FAULT = (400, 413, 422)
_OUR_BALANCE = "credit balance is too low"
"""Anthropic blames the request where our account there is empty."""


class Detail(Struct, frozen=True):
    type: str = ""
    message: str = ""


def error_of(attempt: ChatAttempt, body: bytes, status: int | None = None) -> GatewayzError:
    """`status` None: it came inside a stream."""
    detail = error_in(body, Detail)
    if status is None:
        status, what = STATUS.get(detail.type, 500), f"broke off with {detail.type or 'an error'!r}"
    else:
        what = f"answered {status}{f' ({detail.type})' if detail.type else ''}"
    if _OUR_BALANCE in detail.message:
        return failed(attempt, what, "its account has no credit left", status=402, is_quota=True)
    if status in _CALLERS_FAULT:
        return blamed(attempt, what, detail.message)
    return failed(attempt, what, detail.message, status=status)
