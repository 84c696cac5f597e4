"""Spans by OpenTelemetry's conventions, made of what became of a request when it has ended, and sent by OTLP over HTTP.

Imported only where traces are wanted: it needs the extra `otel`.
"""

import platform
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gatewayz import __version__
from gatewayz.core.course import ANSWERED, Attempt, Course
from gatewayz.core.money import NANO_PER_USD

_OPERATIONS = {"/v1/completions": "text_completion", "/v1/embeddings": "embeddings"}
_SCOPE = InstrumentationScope("gatewayz", __version__)
_NANO = 1_000_000_000


class Traces:
    """`worker`: its number among those of its serve. Spans wait for the receiver up to the library's bound, and are
    dropped beyond it.
    """

    def __init__(self, endpoint: str, *, worker: int) -> None:
        self._resource = Resource.create(
            {
                "service.name": "gatewayz",
                "service.version": __version__,
                "service.instance.id": f"{platform.node()}-{worker}",
            }
        )
        self._sending = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))

    def ended(self, course: Course, scope: Mapping[str, Any], now: float) -> None:
        """`now`: of the monotonic clock."""
        trace = course.trace
        if trace is None or not trace.is_sampled:
            return
        clock = _Wall(now)
        for attempt in course.attempts:
            self._send(
                f"{_operation(course)} {attempt.model}",
                _context(trace.trace, attempt.span),
                _context(trace.trace, trace.span),
                kind=SpanKind.CLIENT,
                attributes=_of_attempt(course, attempt),
                is_error=attempt.outcome != ANSWERED,
                began=clock.at(attempt.began),
                ended=clock.at(attempt.ended or now),
            )
        self._send(
            _name(course, scope),
            _context(trace.trace, trace.span),
            _context(trace.trace, trace.parent) if trace.parent else None,
            kind=SpanKind.SERVER,
            attributes=_of_request(course, scope),
            events=_events(course, clock),
            is_error=course.status >= 500 or course.is_cut,
            began=clock.at(course.began),
            ended=clock.at(now),
        )

    def close(self) -> None:
        """Sends what is left. Blocks for some seconds where the receiver does not answer."""
        self._sending.shutdown()  # type: ignore[no-untyped-call]

    def _send(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        *,
        kind: SpanKind,
        attributes: dict[str, str | int | float | bool],
        is_error: bool,
        began: int,
        ended: int,
        events: tuple[Event, ...] = (),
    ) -> None:
        span = ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            events=events,
            kind=kind,
            status=Status(StatusCode.ERROR if is_error else StatusCode.UNSET),
            start_time=began,
            end_time=ended,
            instrumentation_scope=_SCOPE,
        )
        self._sending.on_end(span)


class _Wall:
    """Nanoseconds since the Unix epoch, of moments of the monotonic clock."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._wall = time.time_ns()

    def at(self, moment: float) -> int:
        return self._wall - int((self._now - moment) * _NANO)


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _operation(course: Course) -> str:
    return _OPERATIONS.get(course.endpoint, "chat")


def _name(course: Course, scope: Mapping[str, Any]) -> str:
    """Few different ones, so no path that a client may make up."""
    return f"{_operation(course)} {course.model}" if course.model else f"{scope['method']} {course.endpoint}"


def _of_attempt(course: Course, attempt: Attempt) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {
        "gen_ai.operation.name": _operation(course),
        "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": attempt.model,
        "gen_ai.request.stream": course.is_stream,
    }
    if attempt.outcome != ANSWERED:
        found["error.type"] = attempt.outcome or "cancelled"
    if attempt.status is not None:
        found["http.response.status_code"] = attempt.status
    return found


def _of_request(course: Course, scope: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {
        "http.request.method": scope["method"],
        "http.route": course.endpoint,
        "gatewayz.request_id": course.request_id,
    }
    if course.status:
        found["http.response.status_code"] = course.status
    if course.code or course.is_cut or not course.status:
        found["error.type"] = course.code or ("cut" if course.is_cut else "client_gone")
    if course.provider:
        found |= {
            "gen_ai.operation.name": _operation(course),
            "gen_ai.provider.name": course.provider,
            "gen_ai.response.model": course.model,
            "gen_ai.request.stream": course.is_stream,
            "gen_ai.usage.input_tokens": course.prompt,
            "gen_ai.usage.output_tokens": course.completion,
            "gatewayz.cache.status": course.cache,
            "gatewayz.cost_usd": course.cost / NANO_PER_USD,
            "gatewayz.saved_usd": course.saved / NANO_PER_USD,
        }
        if course.is_stream and course.first_byte:
            found["gen_ai.response.time_to_first_chunk"] = course.first_byte - course.began
    return found


def _events(course: Course, clock: _Wall) -> tuple[Event, ...]:
    """The look into the cache is over when a provider is asked, or the answer goes out."""
    if not course.cache:
        return ()
    over = course.attempts[0].began if course.attempts else course.first_byte or course.began
    told = {"gatewayz.cache.status": course.cache, "gatewayz.cache.detail": course.tier}
    return (Event("gatewayz.cache.lookup", attributes=told, timestamp=clock.at(over)),)
