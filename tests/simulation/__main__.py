"""python -m tests.simulation --seeds 10000 --steps 100; one seed with its trace: --seed N; --exhaustive for the small
model in its larger sizes.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.exhaustive import BROKEN, LAGGING, LARGER, PROTOCOL, explored
from tests.simulation.world import Outcome, simulated


def main() -> int:
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is part of what a seed decides
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})  # fmt: skip  # noqa: E501
    if options.exhaustive:
        return _explore()
    if options.seed is not None:
        return _told(simulated(options.seed, options.steps, verbose=True))
    return _run(range(options.first, options.first + options.seeds), options.steps, options.jobs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many runs")
    parser.add_argument("--steps", type=int, default=100, help="callers in each run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    parser.add_argument("--exhaustive", action="store_true", help="all interleavings of the small model instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser.parse_args()


def _run(seeds: range, steps: int, jobs: int) -> int:
    began = time.perf_counter()
    bad: list[int] = []
    turns = reads = excused = 0
    for outcome in _outcomes(seeds, steps, jobs):
        turns, reads, excused = turns + outcome.turns, reads + outcome.reads, excused + outcome.excused
        if outcome.violations:
            bad.append(outcome.seed)
            print(f"seed {outcome.seed}: {outcome.violations[0]}", flush=True)
    took = time.perf_counter() - began
    total = len(seeds) * steps
    print(f"{total:,} steps over {len(seeds):,} seeds in {took:.1f} s: {total / took:,.0f} steps/s")
    print(f"{turns:,} callbacks, {turns / took:,.0f}/s; {reads:,} reads checked, {excused:,} of them excused")
    print(f"{len(bad)} seeds with violations; one again with its trace: python -m tests.simulation --seed N")
    return 1 if bad else 0


def _explore() -> int:
    """Some minutes, and some gigabytes for the largest."""
    bad = 0
    for size in LARGER:
        for rules in (PROTOCOL, LAGGING, *BROKEN):
            found = explored(rules, size)
            bad += rules is PROTOCOL and bool(found.stale or found.hung)
            told = f"{found.states:,} states, {found.stale:,} of {found.ends:,} ends are stale, {found.hung:,} hang"
            print(f"{size}, {rules.name}: {told}", flush=True)
    return bad


def _outcomes(seeds: range, steps: int, jobs: int) -> Iterable[Outcome]:
    if jobs < 2:
        return (simulated(seed, steps) for seed in seeds)
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(simulated, seeds, [steps] * len(seeds), chunksize=50))


def _told(outcome: Outcome) -> int:
    print(*outcome.trace, sep="\n")
    print(f"{outcome.steps} steps, {outcome.turns} callbacks, {outcome.reads} reads checked")
    print(*(outcome.violations or ["nothing is wrong"]), sep="\n")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
