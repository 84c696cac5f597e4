"""The estimate of how often values change, on changes that come as a Poisson process does."""

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayz.cache.learned_ttl import LEAST, MOST, WIDENED_BY, LearnedTtl, lasting, rate

SEEDS = st.integers(0, 2**32)
DECLARED = 100.0


@settings(derandomize=True)
@given(seed=SEEDS, per_check=st.floats(0.05, 2), interval=st.floats(0.1, 10_000), checks=st.integers(200, 3000))
def test_the_estimate_comes_nearer_the_rate_the_more_checks_there_are(
    seed: int, per_check: float, interval: float, checks: int
) -> None:
    rng = random.Random(seed)
    changes = sum(rng.random() < 1 - math.exp(-per_check) for _ in range(checks))
    spread = math.sqrt(math.expm1(per_check) / checks) / per_check  # one standard deviation, relative
    assert abs(rate(checks, changes, interval) * interval / per_check - 1) <= 6 * spread + 2 / checks


@given(checks=st.integers(1, 10_000), interval=st.floats(0.1, 10_000), data=st.data())
def test_more_changes_never_mean_a_longer_life(checks: int, interval: float, data: st.DataObject) -> None:
    fewer = data.draw(st.integers(0, checks - 1))
    more = data.draw(st.integers(fewer + 1, checks))
    slow, quick = rate(checks, fewer, interval), rate(checks, more, interval)
    assert 0 <= slow < quick < math.inf
    assert lasting(slow, 0.9) > lasting(quick, 0.9)


@given(
    observed=st.lists(st.tuples(st.booleans(), st.floats(0, 1e6)), max_size=200),
    wanted=st.floats(0.01, 0.999),
    declared=st.floats(0.1, 1e6),
)
def test_it_stays_within_its_bounds_and_is_widened_by_a_quarter_at_most(
    observed: list[tuple[bool, float]], wanted: float, declared: float
) -> None:
    learned = LearnedTtl(declared, wanted)
    before = learned.fresh
    for changed, interval in observed:
        learned.observed(changed=changed, interval=interval)
        now = learned.fresh
        assert LEAST * declared <= now <= MOST * declared
        assert now <= WIDENED_BY * before
        before = now


@settings(derandomize=True)
@given(seed=SEEDS, wanted=st.sampled_from([0.8, 0.9, 0.95]))
def test_kept_for_what_it_learned_values_are_right_as_often_as_was_wanted(seed: int, wanted: float) -> None:
    rng = random.Random(seed)
    lasts = lasting(1 / DECLARED, wanted)
    learned = LearnedTtl(DECLARED, wanted)
    for _ in range(2000):
        interval = learned.fresh * rng.uniform(0.9, 1.1)
        learned.observed(changed=rng.expovariate(1 / DECLARED) < interval, interval=interval)
    assert lasts / 2 < learned.fresh < lasts * 2
