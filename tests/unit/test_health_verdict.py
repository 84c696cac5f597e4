"""Which state what was seen stands for, and how it moves."""

import pytest

from gatewayz.health.config import HealthConfig
from gatewayz.health.model import BOUNDS, NO_TIMES, Figures, State, percentile
from gatewayz.health.seen import Seen
from gatewayz.health.verdict import Verdict, folded, state_of, verdict

CONFIG = HealthConfig(
    half_life=100, known_for=300, evidence=3, degraded_from=0.1, down_from=0.5, slow=20, slow_from=0.05
)
NOW = 1_800_000_000.0


def seen(
    answered: int = 0, failed: int = 0, *, seconds: float = 0.4, streams: bool = False, recovered: bool = False
) -> Seen:
    made = Seen(is_recovered=recovered)
    for _ in range(answered):
        made.began(seconds, is_stream=streams, is_slow=seconds >= CONFIG.slow)
    made.requests += failed
    made.failures += failed
    return made


def after(*steps: tuple[float, Seen]) -> Figures:
    """Each step is so many seconds after NOW."""
    figures = None
    for seconds, each in steps:
        figures = folded(figures, each, NOW + seconds, CONFIG)
    assert figures is not None
    return figures


def state(figures: Figures | None, seconds: float = 0) -> State:
    found = verdict(figures, NOW + seconds, CONFIG)
    assert found.state is state_of(figures, NOW + seconds, CONFIG.known_for)
    return found.state


def told(figures: Figures, now: float) -> tuple[State, float | None]:
    found = verdict(figures, now, CONFIG)
    return found.state, found.since


def test_what_nothing_was_heard_of_is_unknown() -> None:
    assert verdict(None, NOW, CONFIG) == Verdict(State.UNKNOWN, None, "nothing was heard of it")


@pytest.mark.parametrize(
    ("answered", "failed", "expected"),
    [
        (1, 0, State.HEALTHY),
        (0, 1, State.UNKNOWN),
        (1, 1, State.UNKNOWN),
        (0, 3, State.DOWN),
        (5, 5, State.DOWN),
        (6, 4, State.DEGRADED),
        (9, 1, State.DEGRADED),
        (19, 1, State.HEALTHY),
    ],
)
def test_the_share_that_fails_says_the_state_if_there_is_evidence(answered: int, failed: int, expected: State) -> None:
    assert state(after((0, seen(answered, failed)))) is expected


def test_streams_that_take_long_to_their_first_token_degrade_it_and_whole_answers_do_not() -> None:
    assert state(after((0, seen(10, seconds=30, streams=True)))) is State.DEGRADED
    assert state(after((0, seen(10, seconds=30)))) is State.HEALTHY
    slow = after((0, seen(2, seconds=30, streams=True)))
    assert state(slow) is State.HEALTHY, "two may be chance"


def test_without_traffic_it_is_unknown_again_and_says_since_when() -> None:
    figures = after((0, seen(10)))
    assert state(figures, 300) is State.HEALTHY
    assert told(figures, NOW + 301) == (State.UNKNOWN, NOW + 300)


def test_what_failed_long_ago_does_not_count_any_more() -> None:
    failing = after((0, seen(failed=10)))
    assert state(folded(failing, seen(10), NOW + 200, CONFIG), 200) is State.DEGRADED
    assert state(folded(failing, seen(10), NOW + 301, CONFIG), 301) is State.HEALTHY


def test_since_is_when_the_state_changed_and_not_when_it_was_seen_last() -> None:
    figures = after((0, seen(10)), (10, seen(10)), (20, seen(failed=200)), (30, seen(failed=1)))
    assert told(figures, NOW + 40) == (State.DOWN, NOW + 20)


def test_what_is_left_alone_is_down_until_then_even_if_nothing_is_heard_of_it() -> None:
    failing = seen(failed=5)
    failing.left_alone_until = NOW + 900
    figures = after((0, failing))
    assert told(figures, NOW + 899) == (State.DOWN, NOW)
    assert told(figures, NOW + 901) == (State.UNKNOWN, NOW + 900)
    again = folded(figures, seen(1), NOW + 500, CONFIG)
    assert told(again, NOW + 899) == (State.DOWN, NOW), "whoever answered was asked before"


def test_what_recovers_is_well_at_once_whatever_failed_before() -> None:
    failing = seen(failed=50)
    failing.left_alone_until = NOW + 5
    figures = after((0, failing), (4, seen(1, recovered=True)))
    assert told(figures, NOW + 4) == (State.HEALTHY, NOW + 4)
    assert figures.lately(NOW + 4).failures == 50, "the last half hour is as it was"


def test_two_probes_that_fail_in_a_row_are_evidence_and_one_is_not() -> None:
    failed = Seen()
    failed.probes = failed.failed_probes = 1
    once = after((0, failed))
    assert state(once) is State.UNKNOWN
    assert state(folded(once, failed, NOW + 60, CONFIG), 60) is State.DOWN


def test_the_last_half_hour_loses_whole_slots() -> None:
    start = NOW - NOW % 600
    figures = folded(None, seen(1, 1), start, CONFIG)
    for minutes, requests in ((9, 3), (20, 4), (30, 2)):
        figures = folded(figures, seen(1), start + 60 * minutes, CONFIG)
        assert figures.lately(start + 60 * minutes).requests == requests
    assert figures.lately(start + 3600).requests == 0


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    figures = after((100, seen(10)), (50, seen(1)))
    assert (figures.at, figures.requests) == (NOW + 100, 11)


def test_percentiles_lie_within_their_bounds() -> None:
    assert percentile(NO_TIMES, 0.5) is None
    counts = list(NO_TIMES)
    counts[3] = 100  # 0.2 to 0.3 s
    assert percentile(counts, 0.5) == pytest.approx(0.25)
    assert percentile(counts, 0.95) == pytest.approx(0.295)
    counts[-1] = 1000
    assert percentile(counts, 0.95) == BOUNDS[-1]
