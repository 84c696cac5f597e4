"""The one point at which requests are observed: their end."""

from collections.abc import Mapping
from typing import Any

from gatewayz.core.clock import SystemClock
from gatewayz.core.course import Course
from gatewayz.telemetry.request_lines import RequestLines
from gatewayz.telemetry.requests import Requests

_monotonic = SystemClock.monotonic


class RequestEnd:
    """`lines`: None where none are wanted."""

    def __init__(self, requests: Requests, lines: RequestLines | None) -> None:
        self._requests = requests
        self._lines = lines

    def __call__(self, course: Course, scope: Mapping[str, Any]) -> None:
        """`scope`: ASGI's, of the request."""
        now = _monotonic()
        self._requests.ended(course, now)
        if self._lines is not None:
            self._lines.ended(course, scope, now)
