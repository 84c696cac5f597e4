"""How hard Gemini should think, as the model wants to be told."""

import re
from typing import Any

from msgspec import Struct

from gatewayz.providers.dialects.asked import Asked
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.effort import Wish, wish_of
from gatewayz.providers.dialects.fault import not_supported

LEVELS_SINCE = 3
"""From this version on Gemini is told a level; before, how many tokens it may think for."""
LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
"""Google's own for OpenAI's efforts."""

_VERSION = re.compile(r"gemini-(\d+)")


class _Claudes(Struct, frozen=True):
    """Anthropic's form of the wish, which many clients send whatever the model."""

    type: str = ""
    budget_tokens: int | None = None


def thinking_of(attempt: ChatAttempt, asked: Asked) -> dict[str, Any]:
    """What `generationConfig` says of it; nothing for what the model does by itself."""
    form = asked.take("thinking", _Claudes)
    wish = wish_of(asked)
    if wish is None and form is not None:
        effort = "none" if form.type == "disabled" else "medium"
        wish = Wish(field="thinking", effort=effort, tokens=form.budget_tokens)
    return {} if wish is None else {"thinkingConfig": _config(attempt, wish)}


def _config(attempt: ChatAttempt, wish: Wish) -> dict[str, Any]:
    if not wish.is_on:
        if _is_told_levels(attempt.native_id):
            raise not_supported(attempt, wish.field, "always thinks with this model", "ask for 'minimal'")
        return {"thinkingBudget": 0}
    if wish.tokens is not None:
        return {"thinkingBudget": wish.tokens, "includeThoughts": True}
    if _is_told_levels(attempt.native_id):
        return {"thinkingLevel": LEVELS[wish.effort], "includeThoughts": True}
    return {"thinkingBudget": BUDGETS[wish.effort], "includeThoughts": True}


def _is_told_levels(native_id: str) -> bool:
    found = _VERSION.search(native_id)
    return found is not None and int(found.group(1)) >= LEVELS_SINCE
