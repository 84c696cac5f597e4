"""What a provider says went wrong, as the error that its caller is told."""

import re
from typing import TypeVar

import msgspec
from msgspec import Struct

from gatewayz.core.errors import ErrorKind, InvalidRequest, NotSupported, ProviderFailed
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.chat import ChatAttempt, Endpoint

Detail = TypeVar("Detail", bound=Struct)

_LONGEST_REASON = 500
_TOO_LONG = re.compile(
    r"prompt is too long|input length and `max_tokens` exceed|maximum context length"
    r"|input token count .{0,40}exceeds the maximum|context_length_exceeded|exceeds? the context window",
    re.IGNORECASE,
)
"""How providers say that a request has more tokens than the model can take; few have a code for it."""


class _Body(Struct):
    error: msgspec.Raw


def failed(
    attempt: ChatAttempt,
    what: str,
    reason: str = "",
    *,
    status: int | None = None,
    is_quota: bool = False,
) -> ProviderFailed:
    """Another provider may do better. `what` is ours, `reason` the provider's own words."""
    return ProviderFailed(_message(attempt, what, reason), status=status, is_quota=is_quota)


def blamed(
    attempt: ChatAttempt,
    what: str,
    reason: str = "",
    *,
    kind: ErrorKind | None = None,
) -> InvalidRequest:
    """The provider finds fault with the request itself, as every other would."""
    if kind is None and _TOO_LONG.search(reason) is not None:
        kind = ErrorKind.CONTEXT_LENGTH_EXCEEDED
    return InvalidRequest(_message(attempt, what, reason), kind=kind)


def not_supported(attempt: ChatAttempt, field: str, what: str, remedy: str) -> NotSupported:
    """The provider's format has no room for what was asked; that of another may."""
    return NotSupported(
        f"the provider {attempt.provider.slug!r} {what}; {remedy}, or ask another provider", param=field
    )


def error_in(body: bytes, kind: type[Detail]) -> Detail:
    """The member `error` of a body; an empty one of a body in another form, of which nothing is shown to a caller."""
    try:
        return msgspec.json.decode(msgspec.json.decode(body, type=_Body).error, type=kind)
    except UNREADABLE:
        return kind()


def check_is_chat(attempt: ChatAttempt) -> None:
    """For formats that have nothing else. Raises NotSupported."""
    if attempt.endpoint is not Endpoint.CHAT:
        raise not_supported(attempt, "model", "answers chats only", "use POST /v1/chat/completions")


def counts_no_tokens(attempt: ChatAttempt, why: str = "counts no tokens") -> NotSupported:
    """Of a provider that cannot say how many there are, or does not now: which says nothing of its chats."""
    return not_supported(attempt, "model", why, "send the request itself")


def _message(attempt: ChatAttempt, what: str, reason: str) -> str:
    told = f": {reason[:_LONGEST_REASON]}" if reason else ""
    message = f"the provider {attempt.provider.slug!r} {what}{told}"
    if attempt.api_key is not None:
        # Some providers quote the key that they refuse; the caller must not read ours.
        message = message.replace(attempt.api_key.get_secret_value(), "***")
    return message
