"""Many deadlines, few timers: those that fall into the same hundredth of a second share one."""

import asyncio
from collections.abc import Sequence
from typing import Any

from gatewayz.cache.wire.errors import Late
from gatewayz.cache.wire.exchange import Outcome

TICKS_PER_SECOND = 100
STALLED = 0.010
"""Seconds. Struck so much too late, it was this process that stood still, and the answer may wait to be read."""


class Deadlines:
    """A timer wheel of 10 ms. A deadline is met by doing nothing, costs no task, and strikes at most 10 ms late, or a
    tick after the process has stood still. With nothing under way there is no timer.
    """

    def __init__(self) -> None:
        self._due: dict[int, list[Outcome[Any]]] = {}

    def add(self, outcome: Outcome[Any], at: float) -> None:
        """Fail it with `Late`, unless it is done when the loop's clock shows `at`."""
        tick = int(at * TICKS_PER_SECOND) + 1
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = []
            asyncio.get_running_loop().call_at(tick / TICKS_PER_SECOND, self._strike, tick)
        due.append(outcome)

    def _strike(self, tick: int) -> None:
        loop = asyncio.get_running_loop()
        late = [outcome for outcome in self._due.pop(tick) if not outcome.done()]
        if late and loop.time() - tick / TICKS_PER_SECOND > STALLED:
            loop.call_later(1 / TICKS_PER_SECOND, _fail, late)  # once: a process may stall all the time
        else:
            _fail(late)


def _fail(outcomes: Sequence[Outcome[Any]]) -> None:
    for outcome in outcomes:
        if not outcome.done():
            outcome.set_exception(Late("Redis did not answer in time"))
