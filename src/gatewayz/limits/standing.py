"""Standings out of what was counted, be it in Redis or here."""

from collections.abc import Sequence

from gatewayz.limits.model import Standing
from gatewayz.limits.plan import Plan


def standings_of(plan: Plan, counted: Sequence[int], first: int = 0) -> tuple[Standing, ...]:
    """`counted`, from `first` on: requests, tokens and milliseconds until it is empty for each window, then how many
    run for each limit on those.
    """
    found = []
    for limit, used, empty_in in plan.counted:
        count = counted[first + used]
        lasts = counted[first + empty_in] / 1000 if empty_in is not None and count > 0 else 0.0
        found.append(Standing(limit, max(0, limit.amount - count), lasts))
    return tuple(found)
