"""What options of commands mean."""

from collections.abc import Callable

import pytest
from tests.support.fake_clock import FakeClock

from gatewayz.cli import terms
from gatewayz.core.errors import InvalidRequest


def test_a_moment_is_a_time_from_now_a_date_or_never(clock: FakeClock) -> None:
    assert terms.moment("--expires", "12h", clock) == clock.now() + 12 * 3600
    assert terms.moment("--expires", "30d", clock) == clock.now() + 30 * 86_400
    assert terms.moment("--expires", "never", clock) is None
    assert terms.moment("--expires", "2030-01-01", clock) == 1_893_456_000
    assert terms.moment("--expires", "2030-01-01T01:00:00+01:00", clock) == 1_893_456_000


def test_limits_are_named_and_none_lifts_one_or_all() -> None:
    assert terms.limits("--limit", ["requests_per_minute=600", "concurrent=none"]) == {
        "requests_per_minute": 600,
        "concurrent": None,
    }
    assert terms.limits("--limit", ["none"]) == {}


def test_several_is_any_or_those_named() -> None:
    assert (terms.several(["any"]), terms.several(["a/b", "any"])) == ([], ["a/b", "any"])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: terms.amount("--budget", "-1"),
        lambda: terms.amount("--budget", "NaN"),
        lambda: terms.amount("--budget", "1000001"),
        lambda: terms.amount("--budget", "0.0000000001"),
        lambda: terms.limits("--limit", ["requests_per_minute"]),
        lambda: terms.limits("--limit", ["requests_per_minute=-5"]),
        lambda: terms.span("--overlap", "5"),
        lambda: terms.moment("--expires", "tomorrow", FakeClock()),
    ],
)
def test_what_is_meant_otherwise_is_refused_in_a_sentence(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequest):
        wrong()
