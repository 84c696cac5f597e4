"""The two points at which requests are observed: their begin, where they may join a trace, and their end."""

import random
from collections.abc import Mapping
from typing import Any, Protocol

from gatewayz.core.clock import SystemClock
from gatewayz.core.course import Course
from gatewayz.core.trace_context import TRACEPARENT, trace_context
from gatewayz.telemetry.request_lines import RequestLines
from gatewayz.telemetry.requests import Requests

_TRACEPARENT = TRACEPARENT.encode()
_monotonic = SystemClock.monotonic


class Ended(Protocol):
    def ended(self, course: Course, scope: Mapping[str, Any], now: float) -> None: ...


class Observed:
    """`lines` and `traces`: None where none are wanted. `share`: of requests that are traced if nobody else says so.
    `scope` is ASGI's.
    """

    def __init__(
        self, requests: Requests, lines: RequestLines | None, traces: Ended | None, share: float, rng: random.Random
    ) -> None:
        self._requests = requests
        self._traces = traces
        self._told = [each for each in (lines, traces) if each is not None]
        self._share = share
        self._rng = rng

    def began(self, course: Course, scope: Mapping[str, Any]) -> None:
        if self._traces is not None:
            sent = next((value for name, value in scope["headers"] if name == _TRACEPARENT), None)
            course.trace = trace_context(sent.decode("latin-1") if sent is not None else None, self._is_sampled)

    def ended(self, course: Course, scope: Mapping[str, Any]) -> None:
        now = _monotonic()
        self._requests.ended(course, now)
        for each in self._told:
            each.ended(course, scope, now)

    def _is_sampled(self) -> bool:
        return self._rng.random() < self._share
