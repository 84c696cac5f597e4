"""The trace that a request belongs to, told to the provider that is asked for it."""

from types import SimpleNamespace

import aiohttp

from gatewayz.core.course import course
from gatewayz.core.trace_context import TRACEPARENT


def passing_on() -> aiohttp.TraceConfig:
    """For the session that asks providers. Outside of requests, and where they are not traced, it adds nothing."""
    config = aiohttp.TraceConfig()
    config.on_request_start.append(_add_traceparent)
    return config


async def _add_traceparent(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, started: aiohttp.TraceRequestStartParams
) -> None:
    of_request = course()
    if of_request.trace is not None and of_request.attempts:
        started.headers[TRACEPARENT] = of_request.trace.header(of_request.attempts[-1].span)
