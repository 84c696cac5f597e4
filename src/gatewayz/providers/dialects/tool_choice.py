"""Which tools are to be used."""

from msgspec import Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import Asked
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported

MODES = ("auto", "none", "required")


class Choice(Struct, frozen=True):
    """`mode`: one of MODES. `name`: the one function that must be called."""

    mode: str
    name: str | None = None


class _Named(Struct, frozen=True):
    name: str


class _Form(Struct, frozen=True):
    type: str
    function: _Named | None = None


def choice_of(attempt: ChatAttempt, asked: Asked) -> Choice | None:
    """None where the caller leaves it to the model without saying so."""
    given = asked.text_or("tool_choice", _Form)
    if given is None:
        return None
    if isinstance(given, str):
        if given not in MODES:
            raise InvalidRequest(
                f"'tool_choice' is {given!r}; use one of {MODES}, or name a function", param="tool_choice"
            )
        return Choice(given)
    if given.type == "function" and given.function is not None:
        return Choice("required", given.function.name)
    raise not_supported(
        attempt,
        "tool_choice",
        f"has no 'tool_choice' of type {given.type!r}",
        f"use one of {MODES}, or name a function",
    )
