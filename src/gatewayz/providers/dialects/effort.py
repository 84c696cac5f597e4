"""How hard the caller wants the model to think, in any of the three ways in which it is said."""

from msgspec import Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import Asked

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")


class Wish(Struct, frozen=True, kw_only=True):
    """`effort`: one of EFFORTS. `tokens`: a bound that goes before it. `field`: where it was said."""

    field: str
    effort: str
    tokens: int | None = None

    @property
    def is_on(self) -> bool:
        return self.effort != "none"


class _Reasoning(Struct, frozen=True):
    """OpenRouter's form."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None


def wish_of(asked: Asked) -> Wish | None:
    """None where nothing was said. Raises InvalidRequest for an effort that is none."""
    plain, form = asked.take("reasoning_effort", str), asked.take("reasoning", _Reasoning)
    if plain is not None:
        return _checked(Wish(field="reasoning_effort", effort=plain))
    if form is None:
        return None
    effort = "none" if form.enabled is False else form.effort
    if effort is None and form.max_tokens is None and not form.enabled:
        return None
    return _checked(Wish(field="reasoning", effort=effort or "medium", tokens=form.max_tokens))


def _checked(wish: Wish) -> Wish:
    if wish.effort not in EFFORTS:
        raise InvalidRequest(f"{wish.field!r} has the effort {wish.effort!r}; use one of {EFFORTS}", param=wish.field)
    return wish
