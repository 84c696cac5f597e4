"""Counts for metrics: plain additions where things happen, labels and buckets of a bounded number."""

from bisect import bisect_left
from collections.abc import Sequence

OTHER = "other"
MOST_MODELS = 300
"""That labels tell apart. A catalog has thousands; a worker serves few of them."""


class Names:
    """Those that may stand in a label: the first so many that come, and then OTHER for all others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        known = self._known.get(name)
        if known is not None:
            return known
        if len(self._known) >= self._most:
            return OTHER
        self._known[name] = name
        return name


class Histogram:
    """`counts[i]`: of what lies within `bounds[i]`; the last one, of what is beyond."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus wants buckets."""
        found, so_far = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found
