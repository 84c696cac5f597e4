"""uvicorn's HTTP protocol with a short way for requests whose answer is at hand."""

import functools
from typing import Any

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gatewayz.api.at_once import MOST_BYTES
from gatewayz.api.protocol import BoundedProtocol

log = structlog.get_logger("gatewayz.api")


class PromptProtocol(BoundedProtocol):
    """An application that has `at_once` is asked for the answer as soon as a request's body is whole, inside the
    parser's callback. Where it has none the request becomes a task, as every request of uvicorn's does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's
        super().__init__(*args, **kwargs)
        self._door: Any = self.app if hasattr(self.app, "at_once") else None
        self._waiting: RequestResponseCycle | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if (
            self._door is not None
            and cycle.more_body
            and cycle.keep_alive
            and not cycle.waiting_for_100_continue
            and not self.server_state.default_headers
            and self._door.may_be_at_hand(cycle.scope)
        ):
            self._waiting = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._waiting is not None and len(self._waiting.body) > MOST_BYTES:
            self._go_the_whole_way(self._waiting)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        cycle = self._waiting
        if cycle is None:
            return
        self._waiting = None
        if self.flow.write_paused or not self._is_taken(cycle):
            self._go_the_whole_way(cycle)

    def _is_taken(self, cycle: RequestResponseCycle) -> bool:
        """The request edge of the short way: what fails here is answered, and told, by the whole one."""
        try:
            return bool(self._door.at_once(cycle.scope, bytes(cycle.body), functools.partial(self._done, cycle)))
        except Exception:
            log.exception("at_once_failed", path=cycle.scope["path"])
            return cycle.response_complete

    def _done(self, cycle: RequestResponseCycle, answer: bytes | None) -> None:
        if answer is None:
            self._go_the_whole_way(cycle)
            return
        if cycle.disconnected or self.transport.is_closing():
            return
        cycle.response_started = cycle.response_complete = True
        self.transport.write(answer)
        if not cycle.keep_alive:  # a stop was asked for meanwhile
            self.transport.close()
        self.on_response_complete()

    def _go_the_whole_way(self, cycle: RequestResponseCycle) -> None:
        self._waiting = None
        super()._start_asgi_task(cycle, self.app)
