from tests.support.fake_clock import FakeClock

from gatewayz.cache.cascade import Target
from gatewayz.cache.recent import Recent

A, B = Target("e", "a"), Target("e", "b")


def test_it_remembers_the_ten_seconds_before_the_servers_were_last_confirmed() -> None:
    clock = FakeClock()
    recent = Recent(clock.monotonic)
    recent.note([A], 7)
    clock.advance(9)
    recent.note([B])
    recent.confirm()
    assert recent.targets() == [(A, 7), (B, 0)]
    clock.advance(2)
    recent.confirm()
    assert recent.targets() == [(B, 0)]


def test_while_a_server_is_away_nothing_is_forgotten() -> None:
    clock = FakeClock()
    recent = Recent(clock.monotonic)
    recent.note([A])
    clock.advance(3600)
    recent.note([B])
    assert recent.targets() == [(A, 0), (B, 0)]


def test_what_is_invalidated_again_counts_from_then_with_the_higher_floor() -> None:
    clock = FakeClock()
    recent = Recent(clock.monotonic)
    recent.note([A], 5)
    clock.advance(9)
    recent.note([A], 3)
    clock.advance(9)
    recent.confirm()
    assert recent.targets() == [(A, 5)]


def test_what_is_too_much_becomes_whole_entities() -> None:
    recent = Recent(FakeClock().monotonic, most=3)
    recent.note([A, B, Target("tag", None)], 2)
    recent.note([Target("f", "x")], 9)
    assert recent.targets() == [(Target("e", None), 2), (Target("tag", None), 2), (Target("f", None), 9)]
