"""Errors as the callers of a path read them: OpenAI's form, or on /v1/messages Anthropic's."""

import msgspec
from msgspec import Struct

from gatewayz.api.errors import STATUS, error_body, written
from gatewayz.core.course import course
from gatewayz.core.errors import ErrorKind, GatewayzError
from gatewayz.providers.dialects.anthropic.errors import STATUS as ANTHROPICS
from gatewayz.providers.dialects.sse import named_event

MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"

_TYPES = {status: kind for kind, status in ANTHROPICS.items()}
_TYPES_OF_KINDS = {ErrorKind.INSUFFICIENT_QUOTA: "billing_error"}


class _Detail(Struct, frozen=True):
    type: str
    message: str


class _Body(Struct, frozen=True):
    error: _Detail
    request_id: str
    type: str = "error"


def body_for(path: str, error: GatewayzError) -> bytes:
    return _anthropics(error) if _is_anthropics(path) else error_body(error)


def event_for(path: str, error: GatewayzError) -> bytes:
    """What tells it in the middle of a stream."""
    if _is_anthropics(path) or path == RESPONSES:
        return named_event("error", _anthropics(error) if _is_anthropics(path) else _of_responses(error))
    return b"data: %b\n\n" % error_body(error)


def _is_anthropics(path: str) -> bool:
    return path.startswith(MESSAGES)


def _anthropics(error: GatewayzError) -> bytes:
    status = STATUS[error.kind]
    other = "api_error" if status >= 500 else "invalid_request_error"
    kind = _TYPES_OF_KINDS.get(error.kind) or _TYPES.get(status, other)
    return msgspec.json.encode(_Body(_Detail(kind, written(error.message)), course().request_id))


def _of_responses(error: GatewayzError) -> bytes:
    param = None if error.param is None else written(error.param)
    message = written(error.message)
    return msgspec.json.encode({"type": "error", "code": str(error.kind), "message": message, "param": param})
