"""How a provider, or one of its models, has fared of late, in figures that workers add to."""

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
"""Seconds. A percentile is right to within the two of them that it lies between."""
SLOT = 600.0
SLOTS = 3
"""Counts of the last half hour: whole slots of ten minutes, the newest of which is not over yet."""

Counts = tuple[int, ...]
NO_TIMES: Counts = (0,) * (len(BOUNDS) + 1)


class State(StrEnum):
    """UNKNOWN where too little was seen of late, which is never taken for HEALTHY."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Slot(Struct, frozen=True, array_like=True):
    """What was seen in ten minutes, the `number`th since 1970. Times are counted by BOUNDS: `latency` until an answer
    began, which for one that is not streamed is its end; `first_token` of streams alone.
    """

    number: int
    requests: int = 0
    failures: int = 0
    latency: Counts = NO_TIMES
    first_token: Counts = NO_TIMES


class Figures(Struct, frozen=True, array_like=True):
    """As of the Unix time `at`, when the last was seen. `requests`, `failures`, `streams` and `slow` (of the streams)
    are moving sums in which what is one half life old counts half. `state` is as judged then, and has been so `since`.
    It is left alone until `left_alone_until`, and was first at `left_alone_since`; 0: it is not. `slots`: the newest
    last.
    """

    at: float
    state: State
    since: float
    left_alone_until: float = 0.0
    left_alone_since: float = 0.0
    requests: float = 0.0
    failures: float = 0.0
    streams: float = 0.0
    slow: float = 0.0
    slots: tuple[Slot, ...] = ()

    @property
    def failure_rate(self) -> float:
        """A failure may be told of later than its request: so never more than all."""
        return min(1.0, self.failures / self.requests) if self.requests else 0.0

    @property
    def slow_rate(self) -> float:
        return self.slow / self.streams if self.streams else 0.0

    def lately(self, now: float) -> Slot:
        """The last half hour as one slot: at least its last twenty minutes."""
        oldest = number_of(now) - SLOTS + 1
        kept = [slot for slot in self.slots if slot.number >= oldest]
        return Slot(
            number=oldest,
            requests=sum(slot.requests for slot in kept),
            failures=sum(slot.failures for slot in kept),
            latency=sums([slot.latency for slot in kept]),
            first_token=sums([slot.first_token for slot in kept]),
        )


def number_of(now: float) -> int:
    """Of the slot in which this Unix time lies."""
    return int(now // SLOT)


def bucket_of(seconds: float) -> int:
    return bisect_left(BOUNDS, seconds)


def sums(counts: Sequence[Sequence[int]]) -> Counts:
    return tuple(map(sum, zip(*counts, strict=True))) if counts else NO_TIMES


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Seconds within which so large a share was; between two bounds it is taken for even. None where there is none."""
    left = sum(counts) * share
    if not left:
        return None
    for index, count in enumerate(counts[:-1]):
        if left <= count:
            lower = BOUNDS[index - 1] if index else 0.0
            return round(lower + (BOUNDS[index] - lower) * left / count, 3)
        left -= count
    return BOUNDS[-1]
