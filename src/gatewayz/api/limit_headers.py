"""How the caller's limits stand, in the headers that OpenAI's clients know."""

import math
from collections.abc import Sequence

from gatewayz.api.answer import Headers
from gatewayz.core.limit import Measure
from gatewayz.limits.model import Standing

LOCAL: tuple[bytes, bytes] = (b"x-gatewayz-limits", b"local")
"""Goes with an answer whose request was counted by one worker alone."""


def limit_headers(standings: Sequence[Standing], *, is_local: bool) -> Headers:
    """Of the limits on requests, and of those on tokens, the one of which the least is left."""
    if not standings:
        return []
    headers: Headers = [LOCAL] if is_local else []
    for measure in (Measure.REQUESTS, Measure.TOKENS):
        tightest = min(
            (each for each in standings if each.limit.measure is measure), key=lambda each: each.remaining, default=None
        )
        if tightest is not None:
            name = measure.value.encode()
            headers += (
                (b"x-ratelimit-limit-" + name, str(tightest.limit.amount).encode()),
                (b"x-ratelimit-remaining-" + name, str(tightest.remaining).encode()),
                (b"x-ratelimit-reset-" + name, duration(tightest.resets_in).encode()),
            )
    return headers


def duration(seconds: float) -> str:
    """As OpenAI writes it: `320ms`, `12.5s`, `6m0s`, `1h0m30s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{f'{hours}h' if hours else ''}{minutes}m{rest}s"
