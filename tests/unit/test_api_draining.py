"""What a worker that is asked to stop still does, by its clock."""

from tests.support.fake_clock import FakeClock

from gatewayz.api.config import DrainConfig
from gatewayz.api.draining import Drain

CONFIG = DrainConfig(notice=5, limit=30)


def test_nothing_is_waited_for_before_a_stop_is_asked_for(clock: FakeClock) -> None:
    drain = Drain(CONFIG, clock)
    assert (drain.has_begun, drain.is_deaf, drain.left) == (False, False, 0.0)


def test_the_notice_is_a_part_of_the_limit(clock: FakeClock) -> None:
    drain = Drain(CONFIG, clock)
    drain.begin()
    assert (drain.has_begun, drain.is_deaf, drain.left) == (True, False, 30.0)
    clock.advance(5)
    assert (drain.is_deaf, drain.left) == (True, 25.0)
    clock.advance(26)
    assert drain.left == 0.0


def test_asking_again_does_not_begin_anew(clock: FakeClock) -> None:
    drain = Drain(CONFIG, clock)
    drain.begin()
    clock.advance(6)
    drain.begin()
    assert (drain.is_deaf, drain.left) == (True, 24.0)


def test_a_cut_ends_notice_and_patience_at_once(clock: FakeClock) -> None:
    drain = Drain(CONFIG, clock)
    drain.cut()
    assert (drain.has_begun, drain.is_deaf, drain.left) == (True, True, 0.0)
