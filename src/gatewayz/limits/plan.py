"""Limits arranged by what is counted together: made once for each set of limits, and used by every request."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from gatewayz.core.limit import Limit, Measure, Subject

ANY = -1
"""Stands where nothing is limited."""


class WindowLimit(Struct, frozen=True):
    """Of one subject in one window of seconds: the most requests and tokens, each with the limit that says so."""

    subject: Subject
    seconds: int
    requests: Limit | None
    tokens: Limit | None

    @property
    def most_requests(self) -> int:
        return ANY if self.requests is None else self.requests.amount

    @property
    def most_tokens(self) -> int:
        return ANY if self.tokens is None else self.tokens.amount


Counted: TypeAlias = tuple[Limit, int, int | None]
"""A limit, and where in what was counted stand what was used of it and the milliseconds until that is nothing."""


class Plan(Struct, frozen=True):
    """`windows` before `running`, which hold as many requests at one time. `counted`: every limit, in that order."""

    windows: tuple[WindowLimit, ...]
    running: tuple[Limit, ...]
    counted: tuple[Counted, ...]


@functools.lru_cache(maxsize=4096)
def planned(limits: tuple[Limit, ...]) -> Plan:
    """Of two limits of the same the lower one holds."""
    by_window: dict[tuple[Subject, int], dict[Measure, Limit]] = {}
    running: dict[Subject, Limit] = {}
    for limit in limits:
        if limit.measure is Measure.CONCURRENT:
            running[limit.subject] = _lower(running.get(limit.subject), limit)
        else:
            found = by_window.setdefault((limit.subject, limit.window), {})
            found[limit.measure] = _lower(found.get(limit.measure), limit)
    windows = tuple(
        WindowLimit(subject, seconds, found.get(Measure.REQUESTS), found.get(Measure.TOKENS))
        for (subject, seconds), found in by_window.items()
    )
    return Plan(windows, tuple(running.values()), tuple(_counted(windows, running.values())))


def _counted(windows: Sequence[WindowLimit], running: Iterable[Limit]) -> Iterator[Counted]:
    for place, window in enumerate(windows):
        requests, tokens, empty_in = range(3 * place, 3 * place + 3)
        if window.requests is not None:
            yield window.requests, requests, empty_in
        if window.tokens is not None:
            yield window.tokens, tokens, empty_in
    for place, limit in enumerate(running, 3 * len(windows)):
        yield limit, place, None


def _lower(one: Limit | None, other: Limit) -> Limit:
    return other if one is None or other.amount < one.amount else one


def with_share(limits: Sequence[Limit], share: int) -> tuple[Limit, ...]:
    """The same, with each amount divided, but never to nothing."""
    return tuple(
        Limit(each.subject, each.measure, max(1, each.amount // share) if each.amount else 0, each.window)
        for each in limits
    )
