"""How long values of an entity really last, learned from what its refreshes found.

The estimator is that of Cho and Garcia-Molina, "Estimating frequency of change", ACM TOIT 3(3), 2003: where X of n
checks at an interval I found a change, values change at a rate of -ln((n - X + 0.5) / (n + 0.5)) / I. X / (n I) would
miss that a value may change more than once between two checks.
"""

import math
from typing import Any

from msgspec import Struct

from gatewayz.cache.entity import Loaded

WANTED = 0.95
FIRST_CHECKS = 5
MOST_CHECKS = 512
WIDENED_BY = 1.25
LEAST, MOST = 0.1, 10.0  # of the declared time


class Learned(Struct, frozen=True, kw_only=True):
    """`checks`, `changes`: all that were seen. `per_day`: changes a day, estimated; None where checks are too few.
    `seconds`: the time to be fresh that keeps a share `wanted` of reads right. `is_in_force`: else it is only told.
    """

    checks: int
    changes: int
    per_day: float | None
    wanted: float
    seconds: float
    is_in_force: bool


def rate(checks: float, changes: float, interval: float) -> float:
    """Changes a second, if `changes` of `checks` that were `interval` seconds apart found one."""
    return -math.log((checks - changes + 0.5) / (checks + 0.5)) / interval


def lasting(changes_per_second: float, wanted: float) -> float:
    """Seconds for which a value may be kept, so that at a moment at random it is right with this probability.

    Kept for T, changing at a rate r, that is (1 - exp(-rT)) / rT: for small rT about 1 - rT / 2.
    """
    return 2 * (1 - wanted) / changes_per_second if changes_per_second > 0 else math.inf


def is_changed(before: Loaded[Any], now: Loaded[Any]) -> bool:
    """By the versions, where both declare one; else by the values."""
    if before.version is not None and now.version is not None:
        return before.version != now.version
    return before.value is not now.value and before.value != now.value


class LearnedTtl:
    """Of one entity. It moves by at most a quarter up with each check, and down at once; never below a tenth of the
    declared time nor above ten times it. Beyond the last few hundred checks it forgets, so that it follows.

    `wanted`: the share of reads that shall be right; None: it learns and tells, and the declared time stays in force.
    """

    def __init__(self, declared: float, wanted: float | None = None) -> None:
        self._declared = declared
        self._wanted = WANTED if wanted is None else wanted
        self._is_in_force = wanted is not None
        self._seconds = declared
        self._checks = self._changes = 0
        self._weight = self._weight_changed = self._weight_time = 0.0

    @property
    def fresh(self) -> float:
        """Seconds for which a value is fresh now."""
        return self._seconds if self._is_in_force else self._declared

    @property
    def learned(self) -> Learned:
        changes_per_second = self._rate()
        return Learned(
            checks=self._checks,
            changes=self._changes,
            per_day=None if changes_per_second is None else changes_per_second * 86_400,
            wanted=self._wanted,
            seconds=self._seconds,
            is_in_force=self._is_in_force,
        )

    def observed(self, *, changed: bool, interval: float) -> None:
        """A value was loaded again `interval` seconds after the last time, and was another one or the same."""
        if interval <= 0:
            return
        self._checks += 1
        self._changes += changed
        if self._weight >= MOST_CHECKS:
            self._weight, self._weight_changed, self._weight_time = (
                each / 2 for each in (self._weight, self._weight_changed, self._weight_time)
            )
        self._weight += 1
        self._weight_changed += changed
        self._weight_time += interval
        changes_per_second = self._rate()
        if changes_per_second is not None:
            best = lasting(changes_per_second, self._wanted)
            bounded = min(max(best, LEAST * self._declared), MOST * self._declared)
            self._seconds = min(bounded, WIDENED_BY * self._seconds)

    def _rate(self) -> float | None:
        if self._checks < FIRST_CHECKS:
            return None
        return rate(self._weight, self._weight_changed, self._weight_time / self._weight)
