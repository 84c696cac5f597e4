"""Admission by one worker alone, for the time in which Redis cannot be asked. The same rules as those of scripts.py."""

import math
from collections import OrderedDict, deque

from gatewayz.core.clock import Clock
from gatewayz.core.ids import TrancheId
from gatewayz.core.limit import Limit, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.limits.model import Admitted, Ask, Outcome, PurseName, PurseState, Refused, Standing, Unfunded
from gatewayz.limits.plan import ANY, Plan, WindowLimit, planned, with_share
from gatewayz.limits.standing import standings_of
from gatewayz.limits.window import MICROSECONDS, Window

MOST_SUBJECTS = 10_000
"""Windows, and sets of running requests, that are remembered; those that were not used for the longest go first."""
RETIRED_FOR = 3600.0
"""Seconds for which a retired purse is remembered: what is paid into it comes, late, within those of a transaction."""
AGAIN_IN = 1.0
"""Seconds after which to try again where only requests that run are in the way: nobody knows when one ends."""


class LocalPurse:
    def __init__(self, tranche: TrancheId, left: int, used_at: float) -> None:
        self.tranche = tranche
        self.left = left
        self.used_at = used_at
        self.retired_at: float | None = None

    @property
    def is_retired(self) -> bool:
        return self.retired_at is not None


class LocalLimits:
    """`share`: by how many the limits are divided, as so many workers count by themselves. `lease`: seconds after which
    a request that was never settled is given up.
    """

    def __init__(self, clock: Clock, *, share: int, lease: float) -> None:
        self._clock = clock
        self._share = share
        self._lease = lease
        self._windows: OrderedDict[tuple[Subject, object, int], Window] = OrderedDict()
        self._running: OrderedDict[tuple[Subject, object], dict[str, float]] = OrderedDict()
        self._purses: dict[PurseName, LocalPurse] = {}
        self._retired: deque[tuple[float, PurseName]] = deque()

    def admit(self, ask: Ask) -> Outcome:
        plan = planned(with_share(ask.limits, self._share) if self._share > 1 else ask.limits)
        seconds = self._clock.monotonic()
        now = int(seconds * MICROSECONDS)
        windows = [self._window(ask, each, now) for each in plan.windows]
        running = [self._set(ask, limit, seconds) for limit in plan.running]
        if (refused := self._refusal(ask, plan, windows, running, now)) is not None:
            return refused
        tranche = None
        if ask.hold > 0:
            purse = self._purse_of(ask)
            if purse is None or purse.is_retired:
                return Unfunded(tranche=None, short_by=ask.hold, is_local=True)
            if purse.left < ask.hold:
                return Unfunded(tranche=purse.tranche, short_by=NanoUsd(ask.hold - purse.left), is_local=True)
            purse.left -= ask.hold
            purse.used_at = seconds
            tranche = purse.tranche
        for window in windows:
            window.add(now, ask.tokens)
        for requests in running:
            requests[ask.request] = seconds + self._lease
        standings = _standings(plan, windows, running, now)
        return Admitted(ask=ask, at=now, tranche=tranche, standings=standings, is_local=True)

    def settle(self, admitted: Admitted, tokens: int, back: NanoUsd) -> None:
        """`tokens`: those that were really used. `back`: goes back into the purse that it came from."""
        ask = admitted.ask
        for each in planned(ask.limits).windows:
            window = self._windows.get(_key(ask, each.subject, each.seconds))
            if window is not None and each.tokens is not None:
                window.correct(admitted.at, tokens - ask.tokens)
        for limit in planned(ask.limits).running:
            self._running.get(_who(ask, limit.subject), {}).pop(ask.request, None)
        purse = self._purse_of(ask)
        if purse is not None and purse.tranche == admitted.tranche and not purse.is_retired:
            purse.left += back

    def renew(self, ask: Ask) -> None:
        """It still runs."""
        until = self._clock.monotonic() + self._lease
        for limit in planned(ask.limits).running:
            self._running.setdefault(_who(ask, limit.subject), {})[ask.request] = until

    def deposit(self, name: PurseName, tranche: TrancheId, amount: NanoUsd) -> bool:
        """Put into the purse, which is of this tranche from then on; False where it is of another, or retired."""
        purse = self._purses.get(name)
        if purse is not None and (purse.tranche == tranche) is purse.is_retired:
            return False
        if purse is None or purse.is_retired:
            self._purses[name] = LocalPurse(tranche, amount, self._clock.monotonic())
        else:
            purse.left += amount
        return True

    def look(self, name: PurseName, tranche: TrancheId) -> PurseState | None:
        purse = self._purses.get(name)
        if purse is None or purse.tranche != tranche:
            return None
        return PurseState(NanoUsd(purse.left), self._clock.monotonic() - purse.used_at)

    def retire(self, name: PurseName, tranche: TrancheId) -> NanoUsd | None:
        purse = self._purses.get(name)
        if purse is None or purse.tranche != tranche:
            return None
        left, purse.left = purse.left, 0
        if purse.retired_at is None:
            purse.retired_at = self._clock.monotonic()
            self._retired.append((purse.retired_at, name))
        self._forget_retired()
        return NanoUsd(left)

    def _forget_retired(self) -> None:
        long_ago = self._clock.monotonic() - RETIRED_FOR
        while self._retired and self._retired[0][0] < long_ago:
            retired_at, name = self._retired.popleft()
            if (purse := self._purses.get(name)) is not None and purse.retired_at == retired_at:
                del self._purses[name]

    @property
    def has_purses(self) -> bool:
        return any(not purse.is_retired for purse in self._purses.values())

    def _purse_of(self, ask: Ask) -> LocalPurse | None:
        return self._purses.get(PurseName(ask.account_id, ask.purse))

    def _window(self, ask: Ask, limit: WindowLimit, now: int) -> Window:
        key = _key(ask, limit.subject, limit.seconds)
        window = self._windows.pop(key, None) or Window(limit.seconds)
        self._windows[key] = window
        if len(self._windows) > MOST_SUBJECTS:
            self._windows.popitem(last=False)
        window.expire(now)
        return window

    def _set(self, ask: Ask, limit: Limit, seconds: float) -> dict[str, float]:
        key = _who(ask, limit.subject)
        requests = {name: until for name, until in self._running.pop(key, {}).items() if until > seconds}
        self._running[key] = requests
        if len(self._running) > MOST_SUBJECTS:
            self._running.popitem(last=False)
        return requests

    def _refusal(
        self, ask: Ask, plan: Plan, windows: list[Window], running: list[dict[str, float]], now: int
    ) -> Refused | None:
        found: tuple[float, Limit] | None = None
        for each, window in zip(plan.windows, windows, strict=True):
            found = _longer(found, _too_much(ask, each, window, now))
        for limit, requests in zip(plan.running, running, strict=True):
            if len(requests) >= limit.amount and (found is None or not limit.amount):
                found = AGAIN_IN if limit.amount else math.inf, limit
        if found is None:
            return None
        return Refused(
            limit=found[1],
            retry_after=None if found[0] == math.inf else found[0],
            standings=_standings(plan, windows, running, now),
            is_local=True,
        )


def _too_much(ask: Ask, limit: WindowLimit, window: Window, now: int) -> tuple[float, Limit] | None:
    """Seconds until it would fit into this window, and which limit is in the way; None where it fits."""
    most_requests, most_tokens = limit.most_requests, limit.most_tokens
    more_requests = window.requests + 1 - most_requests if most_requests != ANY else 0
    more_tokens = window.tokens + ask.tokens - most_tokens if most_tokens != ANY else 0
    if more_requests <= 0 and more_tokens <= 0:
        return None
    is_too_large = most_tokens != ANY and ask.tokens > most_tokens
    guilty = limit.tokens if more_tokens > 0 and (more_requests <= 0 or is_too_large) else limit.requests
    assert guilty is not None  # noqa: S101  one of them was exceeded
    if most_requests == 0 or is_too_large:
        return math.inf, guilty
    return window.wait(now, more_requests, more_tokens), guilty


def _longer(one: tuple[float, Limit] | None, other: tuple[float, Limit] | None) -> tuple[float, Limit] | None:
    if one is None or (other is not None and other[0] > one[0]):
        return other
    return one


def _standings(plan: Plan, windows: list[Window], running: list[dict[str, float]], now: int) -> tuple[Standing, ...]:
    counted = [
        number
        for window in windows
        for number in (window.requests, window.tokens, math.ceil(window.empty_in(now) * 1000))
    ]  # fmt: skip
    return standings_of(plan, counted + [len(requests) for requests in running])


def _who(ask: Ask, subject: Subject) -> tuple[Subject, object]:
    return subject, ask.key_id if subject is Subject.KEY else ask.account_id


def _key(ask: Ask, subject: Subject, seconds: int) -> tuple[Subject, object, int]:
    return (*_who(ask, subject), seconds)
