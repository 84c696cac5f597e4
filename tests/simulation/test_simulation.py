"""Random histories of the real cache in a simulated world. A long run: python -m tests.simulation --seeds 10000"""

import pytest

from tests.simulation.herd import herd
from tests.simulation.plants import FOUND, PLANTS, Plant
from tests.simulation.world import Plan, simulated

SEEDS = range(150)


def test_no_history_breaks_a_promise() -> None:
    outcomes = [simulated(seed, 100) for seed in SEEDS]
    assert {outcome.seed: outcome.violations for outcome in outcomes if outcome.violations} == {}
    assert sum(outcome.reads for outcome in outcomes) > 50 * len(SEEDS)
    assert sum(outcome.excused for outcome in outcomes) < len(SEEDS)


@pytest.mark.parametrize("seed", [3, 11])
def test_one_seed_is_one_history(seed: int) -> None:
    first, again = (simulated(seed, 60, verbose=True) for _ in range(2))
    assert first.trace == again.trace
    assert len(first.trace) > 100


@pytest.mark.parametrize("plant", [*PLANTS, *FOUND], ids=lambda plant: plant.letter)
def test_a_forbidden_history_is_seen_where_its_fence_is_taken_out(plant: Plant) -> None:
    for seed in range(plant.seeds):
        with plant.remove():
            violations = simulated(seed, plant.steps, plant.plan).violations
        if any(plant.seen in violation for violation in violations):
            assert simulated(seed, plant.steps, plant.plan).violations == [], "with the fence nothing is wrong"
            return
    raise AssertionError(f"nothing is wrong without the fence against {plant.name!r}")


@pytest.mark.parametrize("killing", [False, True], ids=["all live", "leaders die"])
def test_a_cold_key_is_loaded_once_and_once_more_for_each_leader_who_died(*, killing: bool) -> None:
    herds = [herd(seed, 6, killing=killing) for seed in range(30)]
    assert [each.violations for each in herds if each.violations] == []
    rounds, loads = sum(each.rounds for each in herds), sum(each.loads for each in herds)
    assert loads > rounds if killing else loads == rounds


def test_runs_have_what_they_are_to_show() -> None:
    outcome = simulated(5, 100, Plan(without_redis=0, without_bus=0), verbose=True)
    told = "\n".join(outcome.trace)
    assert all(what in told for what in ("FILL", "READ", "INVALIDATE", "(told of)", "relayed", "get many", "left"))
