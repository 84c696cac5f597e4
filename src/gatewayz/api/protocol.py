"""uvicorn's HTTP protocol with bounds that it lacks: on the size of headers, and on the time to send a request."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatewayz.api.errors import STATUS, error_body
from gatewayz.core.errors import ErrorKind, GatewayzError


class BoundedProtocol(HttpToolsProtocol):
    """Headers over the bound are answered 431. A client that takes too long over its headers, or lets a body stall, is
    cut off, and so is one that asks nothing more for uvicorn's `timeout_keep_alive` and up to `headers_within` longer.
    The watch is one timer a connection, none a request. Times are seconds.
    """

    most_header_bytes = 64 * 1024
    headers_within = 10.0
    body_bytes_within = 30.0
    lingers = 1.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._is_refused = False
        self._expect_headers()
        self._last_data = self._last_answer = self._headers_since
        self._watch = self.loop.call_later(self.headers_within, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._last_data = self.loop.time()
        if not self._in_headers:
            super().data_received(data)
            return
        self._header_bytes += len(data)
        super().data_received(data)
        # Counted with what came behind them in one read, so judged only where that did not complete them.
        if self._in_headers and self._header_bytes > self.most_header_bytes:
            self._refuse(f"the headers of a request must have less than {self.most_header_bytes} bytes")

    def on_message_begin(self) -> None:
        self._expect_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer for each answer: the watch of the connection ends those that nobody uses."""
        self._last_answer = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _expect_headers(self) -> None:
        self._in_headers = True
        self._header_bytes = 0
        self._headers_since = self.loop.time()

    def _check(self) -> None:
        now = self.loop.time()
        cycle: Any = self.cycle
        is_slow = self._in_headers and now - self._headers_since >= self.headers_within
        is_stalled = cycle is not None and cycle.more_body and now - self._last_data >= self.body_bytes_within
        is_idle = cycle is not None and cycle.response_complete and now - self._last_answer >= self.timeout_keep_alive
        if is_slow or is_stalled or is_idle:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(self.headers_within, self._check)

    def _refuse(self, message: str) -> None:
        error = GatewayzError(message, kind=ErrorKind.HEADERS_TOO_LARGE)
        body = error_body(error)
        head = (
            f"HTTP/1.1 {STATUS[error.kind]} Request Header Fields Too Large\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closed at once, with bytes still coming in, the connection would be reset and the answer lost on its way.
        self._is_refused = True
        self._watch.cancel()
        self._watch = self.loop.call_later(self.lingers, self.transport.close)
