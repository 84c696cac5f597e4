"""One line in the log for each request, at its end. No key, no body, no user."""

import math
import re
from collections.abc import Mapping
from typing import Any

import structlog

from gatewayz.core.course import Course
from gatewayz.core.money import NANO_PER_USD

log = structlog.get_logger("gatewayz.requests")

_LONGEST_PATH = 200
_KEY = re.compile(r"gw_(live|test)_\w*")


class RequestLines:
    """What a provider was asked for, what ended in an error of ours and what broke off has a line always. A line takes
    about as long as an answer from memory: of those, and of refusals, `most` a second have one, and the next line says
    in `left_out` how many had none.
    """

    def __init__(self, *, most: float) -> None:
        self._most = most
        self._second = -1
        self._written = 0
        self._left_out = 0

    def ended(self, course: Course, scope: Mapping[str, Any], now: float) -> None:
        """`now`: of the monotonic clock."""
        if not course.attempts and course.status < 500 and not course.is_cut and not self._has_room(now):
            self._left_out += 1
            return
        log.info("request", **self._line(course, scope, now))
        self._left_out = 0

    def _has_room(self, now: float) -> bool:
        second = math.floor(now)
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        return self._written <= self._most

    def _line(self, course: Course, scope: Mapping[str, Any], now: float) -> dict[str, object]:
        line: dict[str, object] = {
            "request_id": course.request_id,
            "method": scope["method"],
            "path": _KEY.sub("***", scope["path"])[:_LONGEST_PATH],
            "status": course.status,
            "seconds": round(now - course.began, 6),
        }
        if course.is_cut or not course.status:
            line["ended"] = "cut" if course.is_cut else "client gone"
        told = {
            "code": course.code,
            "model": course.model,
            "provider": course.provider,
            "cache": course.cache,
            "cache_detail": course.tier,
            "attempts": len(course.attempts),
            "prompt_tokens": course.prompt,
            "completion_tokens": course.completion,
            "cost_usd": course.cost / NANO_PER_USD,
            "saved_usd": course.saved / NANO_PER_USD,
            "left_out": self._left_out,
        }
        return line | {name: value for name, value in told.items() if value}
