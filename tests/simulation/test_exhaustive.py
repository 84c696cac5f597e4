"""All interleavings of a small model with the real scripts. Larger ones: python -m tests.simulation --exhaustive"""

import pytest

from tests.simulation.exhaustive import BROKEN, LAGGING, PROTOCOL, Rules, Size, explored

SIZES = (
    Size(readers=2, writes=2, reads=2),
    Size(readers=2, writes=3),
    Size(readers=3, writes=1),
    Size(readers=2, writes=1, expiries=1, evictions=1),
    Size(readers=2, writes=2, expiries=1, deaths=1),
)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_protocol_leaves_nothing_stale_and_nobody_waiting(size: Size) -> None:
    found = explored(PROTOCOL, size)
    print(f"{found.states:,} states, {found.ends:,} ends")  # noqa: T201  the number is what was proven
    assert found.states > 40_000
    assert (found.stale, found.hung) == (0, 0)


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_a_floor_is_enough_for_sources_that_lag(size: Size) -> None:
    found = explored(LAGGING, size)
    print(f"{found.states:,} states, {found.ends:,} ends")  # noqa: T201  as above
    assert (found.stale, found.hung) == (0, 0)


@pytest.mark.parametrize("rules", BROKEN, ids=[rules.name for rules in BROKEN])
def test_without_a_fence_something_stays_stale_for_ever(rules: Rules) -> None:
    found = explored(rules, Size(readers=2, writes=2))
    print(f"{found.states:,} states, {found.stale:,} of {found.ends:,} ends are stale")  # noqa: T201  as above
    assert found.stale > 0
