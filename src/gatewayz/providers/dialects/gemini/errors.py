"""What Gemini says went wrong, by a status or inside a stream."""

import re
from typing import Any

from msgspec import Struct

from gatewayz.core.errors import GatewayzError
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import blamed, error_in, failed

_CALLERS_FAULT = (400, 413, 422)
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_PER_DAY = "PerDay"
"""In the name of a quota that is used up for longer than a moment."""
_OUR_KEY = "API_KEY_INVALID"
_OUR_ACCOUNT = "FAILED_PRECONDITION"
"""Gemini blames the request where it finds fault with our key, with our billing, or with where we are."""


class Detail(Struct, frozen=True):
    code: int | None = None
    message: str = ""
    status: str = ""
    details: list[dict[str, Any]] = []


def error_of(attempt: ChatAttempt, body: bytes, status: int | None = None) -> GatewayzError:
    """`status` None: it came inside a stream."""
    detail = error_in(body, Detail)
    if status is None:
        status, what = detail.code or 500, f"broke off with {detail.status or 'an error'!r}"
    else:
        what = f"answered {status}{f' ({detail.status})' if detail.status else ''}"
    if any(each.get("reason") == _OUR_KEY for each in detail.details):
        return failed(attempt, what, "it does not take the key", status=401)
    if status in _CALLERS_FAULT and detail.status != _OUR_ACCOUNT:
        return blamed(attempt, what, detail.message)
    if status in _CALLERS_FAULT:
        return failed(attempt, what, detail.message, status=403)
    error = failed(attempt, what, detail.message, status=status, is_quota=_is_used_up(detail))
    error.retry_after = _retry_delay(detail)
    return error


def _retry_delay(detail: Detail) -> float | None:
    """Seconds, of google.rpc.RetryInfo, which writes them as "34.07s"."""
    delays = (each.get("retryDelay") for each in detail.details)
    found = next((_SECONDS.fullmatch(delay) for delay in delays if isinstance(delay, str)), None)
    return None if found is None else float(found.group(1))


def _is_used_up(detail: Detail) -> bool:
    """Whether a google.rpc.QuotaFailure names a quota of days."""
    violations = (each.get("violations") for each in detail.details)
    named = (violation for found in violations if isinstance(found, list) for violation in found)
    return any(isinstance(each, dict) and _PER_DAY in str(each.get("quotaId")) for each in named)
