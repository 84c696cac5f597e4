"""Judges the history of a run.

A change is acknowledged when whoever made it was told that all workers know (`Cleared.everywhere`, or no row left in
the outbox). From then on every read that begins must see it, in any worker. How soon, is the bound:

- 0, whatever is going on, if the acknowledgement came while every worker reached Redis: flushed, full, rubbish inside,
  connections killed, a worker dead, PostgreSQL away excuse nothing;
- 2 s (the heartbeat) if it came while Redis was not to be reached by somebody (windows of kind "outage", and 2 s after
  them), or if it was only repeated until nothing was left to send. That is promised for what is never served stale; the
  rest must be right 2 s after the outage at the latest.

SLACK, and the time for which a worker's loop was seen to stall, are added to the 2 s, not to the 0: those are kept by
timers.

Errors reach a caller only where the database is away ("database" windows, and 2 s after them). Nothing hangs.

A key that nobody has read before is loaded once, and once more for each worker that died loading it. More loads are
counted as excused where one load for all could not be had: a worker could not reach Redis, or had passed it by for not
answering in time ("outage", stalls, and 2 s after them); the lease went with what Redis held or with a connection
("content", and half a second after it).
"""

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from tests.chaos.history import (
    Acknowledged,
    Event,
    Failed,
    Loaded,
    Loading,
    Read,
    Stalled,
    Window,
    Writing,
)
from tests.chaos.world import COLD, GONE_EVERY

HEARTBEAT = 2.0
SLACK = 1.0
GRACE = 2.0
LEASELESS = {"outage": GRACE, "content": 0.5}
"""For how many seconds after a fault of this kind leases may be lacking."""

E = TypeVar("E", bound=Event)


class Verdict(Struct, frozen=True):
    """`violations`: sentences. `counts`: what was seen."""

    violations: list[str]
    counts: dict[str, float]


class _Key:
    """Of one key of one entity: what was written and acknowledged when, and since when it must be seen."""

    def __init__(self) -> None:
        self.writings: list[float] = []
        self._due: list[tuple[float, int, Acknowledged]] = []
        self._said: list[tuple[float, int, Acknowledged]] = []

    def add(self, ack: Acknowledged, bound: float) -> None:
        self._due.append((ack.at + bound, ack.version, ack))
        self._said.append((ack.at, ack.version, ack))

    def seal(self) -> None:
        self.writings.sort()
        self._due = _rising(self._due)
        self._said = _rising(self._said)

    def must_be_seen(self, at: float) -> Acknowledged | None:
        return _last(self._due, at)

    def was_said(self, at: float) -> Acknowledged | None:
        return _last(self._said, at)

    def newest_possible(self, at: float) -> int:
        return 1 + bisect.bisect_right(self.writings, at)


class _Events:
    """The events by kind, windows in the order in which they began."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._by_kind: dict[type, list[Event]] = defaultdict(list)
        for event in events:
            self._by_kind[type(event)].append(event)
        self.windows = sorted(self.of(Window), key=lambda each: each.began)

    def of(self, kind: type[E]) -> list[E]:
        return self._by_kind[kind]  # type: ignore[return-value]

    def disturbed(self, graces: Mapping[str, float]) -> list[tuple[float, float]]:
        """When faults of these kinds, or stalls, are an excuse."""
        times = [(each.began, each.ended + graces[each.kind]) for each in self.windows if each.kind in graces]
        return times + [(each.began, each.ended + GRACE) for each in self.of(Stalled)]


def judge(events: Iterable[Event], lenient: Collection[str]) -> Verdict:
    seen = _Events(events)
    counts: Counter[str] = Counter()
    keys: dict[tuple[str, str], _Key] = defaultdict(_Key)
    for writing in seen.of(Writing):
        keys[writing.entity, writing.key].writings.append(writing.at)
    for ack in seen.of(Acknowledged):
        counts[f"changes acknowledged: {ack.way}"] += 1
        keys[ack.entity, ack.key].add(ack, _bound(ack, seen, is_lenient=ack.entity in lenient))
    for key in keys.values():
        key.seal()
    found, times = _reads(seen, keys, counts)
    for failed in seen.of(Failed):
        found += _failure(failed, seen.windows, counts)
    found += _loads(seen, counts)
    return Verdict(found, {**counts, **times})


def _reads(
    seen: _Events, keys: dict[tuple[str, str], _Key], counts: Counter[str]
) -> tuple[list[str], dict[str, float]]:
    violations: list[str] = []
    oldest = slowest = slowest_in_calm = 0.0
    disturbed = seen.disturbed(dict.fromkeys({each.kind for each in seen.windows}, GRACE))
    for read in seen.of(Read):
        counts["reads"] += 1
        if (took := read.ended - read.began) > slowest_in_calm:
            slowest = max(slowest, took)
            if not any(began <= read.ended and read.began <= ended for began, ended in disturbed):
                slowest_in_calm = took
        if read.entity != COLD.name:
            found, behind = _seen(read, keys[read.entity, read.key], seen.windows)
            violations += found
            counts["older values within the bound"] += behind > 0
            oldest = max(oldest, behind)
    return violations, {
        "oldest of them, seconds after the acknowledgement": round(oldest, 3),
        "slowest read, seconds": round(slowest, 3),
        "slowest read without fault or stall, seconds": round(slowest_in_calm, 3),
    }


def _bound(ack: Acknowledged, seen: _Events, *, is_lenient: bool) -> float:
    over = _outage_until(ack.at, seen.windows)
    if over is None and ack.is_certain:
        return 0.0
    bound = HEARTBEAT + SLACK
    if over is not None and is_lenient:
        bound = max(HEARTBEAT, over - ack.at) + SLACK
    return bound + sum(each.ended - each.began for each in seen.of(Stalled) if ack.at <= each.ended <= ack.at + bound)


def _outage_until(at: float, windows: Sequence[Window]) -> float | None:
    """Until when, grace included, the outages last that surround this moment."""
    until = [w.ended + GRACE for w in windows if w.kind == "outage" and w.began <= at <= w.ended + GRACE]
    return max(until, default=None)


def _seen(read: Read, key: _Key, windows: Sequence[Window]) -> tuple[list[str], float]:
    """What is wrong with a read, and how many seconds it was behind an acknowledgement if nothing is."""
    newest = key.newest_possible(read.ended)
    if read.version is not None and read.version > newest:
        return [f"from nowhere: {read} though no version above {newest} was written"], 0.0
    due = key.must_be_seen(read.began)
    if due is not None and _is_older(read.version, due.version, newest):
        return [_stale(read, due, windows)], 0.0
    said = key.was_said(read.began)
    if said is not None and _is_older(read.version, said.version, newest):
        return [], read.began - said.at
    return [], 0.0


def _stale(read: Read, due: Acknowledged, windows: Sequence[Window]) -> str:
    return (
        f"stale: {read.worker} read {read.entity} {read.key} = {read.version} at {read.began:.4f}, "
        f"{1000 * (read.began - due.at):.1f} ms after version {due.version} was acknowledged ({due.way}); "
        f"faults before it: {_before(read.began, windows)}"
    )


def _before(at: float, windows: Sequence[Window]) -> list[str]:
    return [f"{w.name} {w.began - at:+.3f}…{w.ended - at:+.3f} s" for w in windows if w.began <= at][-3:]


def _is_older(version: int | None, wanted: int, newest: int) -> bool:
    if version is not None:
        return version < wanted
    return math.ceil(wanted / GONE_EVERY) * GONE_EVERY > newest


def _failure(failed: Failed, windows: Sequence[Window], counts: Counter[str]) -> list[str]:
    excused = any(w.kind == "database" and w.began <= failed.ended and failed.began <= w.ended + GRACE for w in windows)
    if failed.reason.startswith("error") and excused:
        counts["reads that failed while the database was away"] += 1
        return []
    return [f"{failed.reason}: {failed.worker} {failed.entity} {failed.key} at {failed.began:.4f}"]


def _loads(seen: _Events, counts: Counter[str]) -> list[str]:
    loading: dict[str, list[Loading]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    for load in seen.of(Loading):
        loading[load.key].append(load)
        times[load.key].append(load.at)
    for read in seen.of(Read):
        if read.entity == COLD.name:
            times[read.key] += [read.began, read.ended]
    loaded = Counter((each.worker, each.key) for each in seen.of(Loaded))
    disturbed = seen.disturbed(LEASELESS)
    violations = []
    for key, loads in loading.items():
        counts["cold keys"] += 1
        began, ended = min(times[key]), max(times[key])
        died = sum(not loaded[load.worker, key] for load in loads)
        counts["cold keys whose loader was killed"] += died > 0
        if len(loads) <= 1 + died:
            counts["cold keys loaded once for each leader"] += 1
        elif any(since <= ended and began <= until for since, until in disturbed):
            counts["cold keys loaded more often, excused by a fault"] += 1
        else:
            by = [f"{load.worker} +{load.at - began:.3f} {load.redis}" for load in loads]
            by += [f"{each.worker} has it +{each.at - began:.3f}" for each in seen.of(Loaded) if each.key == key]
            faults = _before(began, seen.windows)
            violations.append(
                f"{len(loads)} loads of {key} at {began:.4f}, {died} killed: {by}; faults before: {faults}"
            )
    return violations


def _rising(acks: list[tuple[float, int, Acknowledged]]) -> list[tuple[float, int, Acknowledged]]:
    """Sorted by time, each with the newest version so far."""
    risen: list[tuple[float, int, Acknowledged]] = []
    for at, version, ack in sorted(acks, key=lambda each: each[:2]):
        if not risen or version > risen[-1][1]:
            risen.append((at, version, ack))
    return risen


def _last(acks: Sequence[tuple[float, int, Acknowledged]], at: float) -> Acknowledged | None:
    index = bisect.bisect_right(acks, at, key=lambda each: each[0])
    return acks[index - 1][2] if index else None
