"""The judge of the chaos runs is judged: each kind of violation is found, and nothing else is one."""

import pytest
from tests.chaos.checker import Verdict, judge
from tests.chaos.history import Acknowledged, Event, Failed, Loaded, Loading, Read, Stalled, Window, Writing
from tests.chaos.world import LENIENT_NAMES

STRICT, LENIENT = "told-strict", "told-lenient"


def read(version: int | None, at: float, entity: str = STRICT) -> Read:
    return Read("w0.1", entity, "k1", version, at, at + 0.001)


def change(version: int, at: float, entity: str = STRICT, *, is_certain: bool = True) -> list[Event]:
    """Sent one second before it is acknowledged."""
    return [
        Writing(entity, "k1", at - 1),
        Acknowledged("invalidate", entity, "k1", version, at, is_certain),
    ]


def verdict(*events: Event) -> Verdict:
    return judge(events, LENIENT_NAMES)


def test_an_older_value_after_the_acknowledgement_is_stale() -> None:
    found = verdict(*change(2, 10), read(1, 10.001)).violations
    assert len(found) == 1
    assert found[0].startswith("stale: w0.1 read told-strict k1 = 1")


def test_before_the_acknowledgement_either_value_is_right() -> None:
    assert verdict(*change(2, 10), read(1, 9.999), read(2, 9.5), read(2, 10.1)).violations == []


@pytest.mark.parametrize("kind", ["content", "worker", "leader", "database"])
def test_a_fault_that_lets_redis_be_reached_excuses_no_older_value(kind: str) -> None:
    found = verdict(*change(2, 10), read(1, 10.001), Window(kind, "fault", 9, 11)).violations
    assert len(found) == 1


def test_an_outage_excuses_older_values_for_a_heartbeat_and_no_longer() -> None:
    outage = Window("outage", "Redis frozen", 9, 30)
    within = verdict(*change(2, 10), read(1, 12.5), outage)
    assert within.violations == []
    assert within.counts["older values within the bound"] == 1
    assert len(verdict(*change(2, 10), read(1, 13.1), outage).violations) == 1


def test_a_worker_that_stalls_has_its_heartbeat_later() -> None:
    outage = Window("outage", "Redis frozen", 9, 30)
    stalled = Stalled("w0.1", 10.5, 12)
    assert verdict(*change(2, 10), read(1, 14), outage, stalled).violations == []
    assert len(verdict(*change(2, 10), read(1, 14), outage).violations) == 1
    assert len(verdict(*change(2, 10), read(1, 10.1), stalled).violations) == 1


def test_what_may_be_stale_is_right_soon_after_the_outage() -> None:
    outage = Window("outage", "Redis frozen", 9, 30)
    changed = change(2, 10, LENIENT)
    assert verdict(*changed, read(1, 32.5, LENIENT), outage).violations == []
    assert len(verdict(*changed, read(1, 33.1, LENIENT), outage).violations) == 1


def test_an_outage_that_begins_after_the_acknowledgement_excuses_nothing() -> None:
    assert len(verdict(*change(2, 10), read(1, 10.6), Window("outage", "Redis frozen", 10.5, 11)).violations) == 1


def test_what_was_only_repeated_is_due_after_a_heartbeat() -> None:
    changed = change(2, 10, is_certain=False)
    assert verdict(*changed, read(1, 12.9)).violations == []
    assert len(verdict(*changed, read(1, 13.1)).violations) == 1


def test_there_is_none_counts_as_older_unless_a_version_was_written_that_says_so() -> None:
    assert len(verdict(*change(2, 10), read(None, 11)).violations) == 1
    history = [event for version in range(2, 8) for event in change(version, 10 + version)]
    assert verdict(*history, read(None, 20)).violations == []
    assert len(verdict(*history, *change(8, 18), read(None, 20)).violations) == 1


def test_a_version_that_nobody_wrote_is_found() -> None:
    assert verdict(read(2, 10)).violations[0].startswith("from nowhere")


def test_errors_reach_a_caller_only_where_the_database_is_away() -> None:
    error = Failed("w0.1", STRICT, "k1", "error: no", 10, 10.1)
    hung = Failed("w0.1", STRICT, "k1", "hung", 10, 35)
    away = Window("database", "PostgreSQL restarted", 9, 9.5)
    assert len(verdict(error).violations) == 1
    assert len(verdict(error, Window("outage", "Redis frozen", 9, 11)).violations) == 1
    assert verdict(error, away).violations == []
    assert len(verdict(hung, away).violations) == 1


def load(worker: str, at: float) -> Loading:
    return Loading(worker, "cold", "cold-1", at)


def test_a_cold_key_is_loaded_once_and_once_more_for_each_leader_that_died() -> None:
    done = Loaded("w1.1", "cold", "cold-1", 10.2)
    assert verdict(load("w1.1", 10), done).violations == []
    assert verdict(load("w0.1", 10), load("w1.1", 10), done).violations == []
    twice = verdict(load("w1.1", 10), done, load("w0.1", 10), Loaded("w0.1", "cold", "cold-1", 10.2))
    assert len(twice.violations) == 1


def test_more_loads_of_a_cold_key_are_excused_by_a_fault_or_a_stall_shortly_before() -> None:
    done = [Loaded(worker, "cold", "cold-1", 11) for worker in ("w0.1", "w1.1")]
    loads: list[Event] = [load("w1.1", 10), load("w0.1", 10), *done]
    assert verdict(*loads, Window("outage", "Redis frozen", 8.5, 8.6)).violations == []
    assert verdict(*loads, Window("content", "Redis flushed", 9.5, 9.6)).violations == []
    assert verdict(*loads, Stalled("w2.1", 8.5, 8.6)).violations == []
    assert len(verdict(*loads, Window("outage", "Redis frozen", 7, 7.5)).violations) == 1
    assert len(verdict(*loads, Window("content", "Redis flushed", 8.5, 8.6)).violations) == 1
    assert len(verdict(*loads, Window("worker", "worker killed", 9.5, 9.6)).violations) == 1
