"""Whatever means the same has one canonical form, and whatever differs another."""

import random
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.respelling import respelled

from gatewayz.responses.canonical import canonical, decoded

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system"]), "content": TEXT | st.lists(VALUES, max_size=3)}
    ),
    min_size=1,
    max_size=4,
)
REQUESTS = st.fixed_dictionaries(
    {"model": TEXT, "messages": MESSAGES},
    optional={
        "temperature": st.floats(0, 2) | st.integers(0, 2),
        "seed": st.integers(),
        "tools": st.lists(VALUES, min_size=1, max_size=2),
        "logit_bias": st.dictionaries(TEXT, st.integers(-100, 100), max_size=4),
        "response_format": VALUES,
        "a_field_of_tomorrow": VALUES,
    },
)


def form(request: Any, rng: random.Random) -> bytes:  # noqa: ANN401  any JSON
    return canonical(decoded(respelled(request, rng).encode()))


@given(REQUESTS, st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_however_a_request_is_written_its_canonical_form_is_one(
    request: dict[str, Any], one: random.Random, other: random.Random
) -> None:
    assert form(request, one) == form(request, other)


@given(REQUESTS, st.data())
def test_a_value_that_is_changed_anywhere_changes_the_canonical_form(
    request: dict[str, Any], data: st.DataObject
) -> None:
    rng = random.Random(0)
    before = form(request, rng)
    changed = _with_one_change(request, data)
    assume(_comparable(changed) != _comparable(request))
    assert form(changed, rng) != before


def _with_one_change(value: Any, data: st.DataObject) -> Any:  # noqa: ANN401  any JSON
    if isinstance(value, dict) and value and ("model" in value or data.draw(st.booleans())):
        name = data.draw(st.sampled_from(sorted(value)))
        return {**value, name: _with_one_change(value[name], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], _with_one_change(value[at], data), *value[at + 1 :]]
    return data.draw(VALUES.filter(lambda other: _comparable(other) != _comparable(value)))


def _comparable(value: Any) -> Any:  # noqa: ANN401  any JSON
    """So that equal is what the API takes for equal: Python takes True for 1, and top-level defaults say nothing."""
    if isinstance(value, dict):
        silent: dict[str, Any] = {"temperature": 1, "logit_bias": {}, "response_format": {"type": "text"}}
        return {
            name: _comparable(each)
            for name, each in value.items()
            if each is not None and not (name in silent and each == silent[name] and not isinstance(each, bool))
        }
    if isinstance(value, list):
        return [_comparable(each) for each in value]
    return ("bool", value) if isinstance(value, bool) else value
