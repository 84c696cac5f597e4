"""Where a request stands in a trace: W3C Trace Context, which callers may send and providers are sent."""

import os
import re
from collections.abc import Callable

from msgspec import Struct

TRACEPARENT = "traceparent"

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class TraceContext(Struct, frozen=True):
    """Ids are hexadecimal. `span`: the request's own. `parent`: its caller's, empty where it sent none."""

    trace: str
    span: str
    parent: str
    is_sampled: bool

    def header(self, span: str) -> str:
        """What the receiver of a question that is `span` is sent."""
        return f"00-{self.trace}-{span}-{'01' if self.is_sampled else '00'}"


def trace_context(traceparent: str | None, is_sampled: Callable[[], bool]) -> TraceContext:
    """The caller's trace gone on with, and its word on whether it is to be recorded; else a new one. What is no
    traceparent counts as none.
    """
    found = _FORM.fullmatch(traceparent) if traceparent is not None else None
    if found is not None:
        version, trace, parent, flags, more = found.groups()
        is_valid = (
            version != "ff" and (more is None or version != "00") and set(trace) != {"0"} and set(parent) != {"0"}
        )
        if is_valid:
            return TraceContext(trace, span_id(), parent, bool(int(flags, 16) & _SAMPLED))
    return TraceContext(os.urandom(16).hex(), span_id(), "", is_sampled())


def span_id() -> str:
    return os.urandom(8).hex()
