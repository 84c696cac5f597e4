"""A receiver of traces by OTLP over HTTP, on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.loopback import served_on_loopback

Attributes = dict[str, object]


class OtlpReceiver:
    """`spans`: all that came. `resources`: what they said of their sender."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.resources: list[Attributes] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["OtlpReceiver"]:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        async with served_on_loopback(app) as url:
            self.url = f"{url}/v1/traces"
            yield self

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        said = ExportTraceServiceRequest.FromString(await request.read())
        for of_resource in said.resource_spans:
            self.resources.append(attributes(of_resource.resource.attributes))
            for of_scope in of_resource.scope_spans:
                self.spans.extend(of_scope.spans)
        return web.Response(content_type="application/x-protobuf")

    def of(self, request_id: str) -> Span:
        """The span of a request."""
        (found,) = [each for each in self.spans if attributes(each.attributes).get("gatewayz.request_id") == request_id]
        return found

    def below(self, parent: Span) -> list[Span]:
        found = [each for each in self.spans if each.parent_span_id == parent.span_id]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def attributes(pairs: object) -> Attributes:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in pairs}  # type: ignore[attr-defined]
