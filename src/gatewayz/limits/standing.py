"""Standings out of what was counted, be it in Redis or here."""

from collections.abc import Sequence

from gatewayz.core.limit import Limit
from gatewayz.limits.model import Standing
from gatewayz.limits.plan import Plan

Counted = Sequence[tuple[int, int, float]]
"""Of each window: requests, tokens, seconds until it is empty."""


def standings_of(plan: Plan, counted: Counted, running: Sequence[int]) -> tuple[Standing, ...]:
    found = []
    for window, (requests, tokens, empty_in) in zip(plan.windows, counted, strict=True):
        if window.requests is not None:
            found.append(_standing(window.requests, requests, empty_in))
        if window.tokens is not None:
            found.append(_standing(window.tokens, tokens, empty_in))
    found += [_standing(limit, count, 0.0) for limit, count in zip(plan.running, running, strict=True)]
    return tuple(found)


def _standing(limit: Limit, used: int, empty_in: float) -> Standing:
    return Standing(limit, max(0, limit.amount - used), max(0.0, empty_in) if used > 0 else 0.0)
