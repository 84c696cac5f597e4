"""How hard Claude should think: OpenAI's effort, or a bound in tokens, as the model wants to be told."""

import re
from typing import Any

from msgspec import Struct

from gatewayz.providers.dialects.asked import Asked, read
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.effort import Wish, wish_of
from gatewayz.providers.dialects.fault import not_supported

ADAPTIVE_SINCE = (4, 6)
"""From this version on Claude is told an effort; before, how many tokens it may think for."""
OMITS_THOUGHTS_SINCE = (4, 7)
"""From this version on it keeps its thoughts to itself unless asked for a summary."""
LEAST_BUDGET = 1024
SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
"""Of what the answer may have, by effort, for those who are told tokens."""
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max"}


class _Thinking(Struct, frozen=True):
    type: str = ""


_VERSION = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


def thinking_of(attempt: ChatAttempt, asked: Asked, most: int) -> tuple[Any, dict[str, str]]:
    """The request's `thinking`, None for what the model does by itself, and what `output_config` says of the effort.
    `most`: the tokens that the answer may have, thoughts included.
    """
    if (native := asked.raw("thinking")) is not None:
        wish = wish_of(asked)
        is_adaptive = read("thinking", native, _Thinking).type == "adaptive"
        return native, {"effort": EFFORTS[wish.effort]} if is_adaptive and wish is not None and wish.is_on else {}
    wish = wish_of(asked)
    if wish is None:
        return None, {}
    if not wish.is_on:
        return {"type": "disabled"}, {}
    version = version_of(attempt.native_id)
    if wish.tokens is None and version is not None and version >= ADAPTIVE_SINCE:
        shown = {"display": "summarized"} if version >= OMITS_THOUGHTS_SINCE else {}
        return {"type": "adaptive", **shown}, {"effort": EFFORTS[wish.effort]}
    return {"type": "enabled", "budget_tokens": _budget(attempt, wish, most)}, {}


def version_of(native_id: str) -> tuple[int, int] | None:
    """Of a Claude by its name, `claude-opus-4-5-20251101` or `claude-sonnet-4.6`; None where the name does not say."""
    found = _VERSION.search(native_id)
    return None if found is None else (int(found.group(1)), int(found.group(2) or 0))


def _budget(attempt: ChatAttempt, wish: Wish, most: int) -> int:
    budget = wish.tokens if wish.tokens is not None else max(LEAST_BUDGET, int(most * SHARES[wish.effort]))
    if budget >= most:
        raise not_supported(
            attempt,
            wish.field,
            f"thinks for at least {LEAST_BUDGET} tokens, here {budget}, and may answer with {most} in all",
            "raise 'max_completion_tokens'",
        )
    return budget
