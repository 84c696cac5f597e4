"""How long a single operation takes."""

import time
from collections.abc import Callable

REPEATS = 5


def micros(work: Callable[[], object], rounds: int) -> float:
    """Microseconds of CPU for each call, the best of several times so many."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(rounds):
            work()
        best = min(best, time.process_time() - began)
    return best / rounds * 1e6
