"""How uvicorn serves the gateway, in one place for `gatewayz serve`, tests and benchmarks."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatewayz.api.answer import Application
from gatewayz.api.draining import Drain
from gatewayz.api.prompt_protocol import PromptProtocol

log = structlog.get_logger("gatewayz.api")

_CLOSE = (b"connection", b"close")
_TICKS_PER_PULSE = 10
_LOOK_AGAIN = 0.02
_ACCEPTED_WITHIN = 0.05
"""Seconds in which what the kernel had taken before the listener closed is read."""
_CUT_WITHIN = 2.0
"""Seconds in which what is cut notes what it has used."""


def server_config(app: Application, *, protocol: type[HttpToolsProtocol] = PromptProtocol) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        # Whom to believe is a setting of ours (api/client_address.py); uvicorn would believe anybody on this host.
        proxy_headers=False,
        backlog=2048,
    )


class Server(uvicorn.Server):
    """Serves until the drain is begun, then lets what runs come to its end. `pulse` is called about once a second for
    as long as connections are taken. Signals belong to the process, not to the server.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, pulse: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._drain = drain
        self._pulse = pulse

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        await super().on_tick(counter)
        if counter % _TICKS_PER_PULSE == 0:
            self._pulse()
        if self._drain.has_begun and _CLOSE not in self.server_state.default_headers:
            # Who keeps a connection is told to make its next one elsewhere.
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        return self._drain.is_deaf

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, close the idle ones, wait for the others, then end the application."""
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        await asyncio.sleep(_ACCEPTED_WITHIN)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self._is_busy and self._drain.left:  # noqa: ASYNC110  what ends belongs to uvicorn, which tells nobody
            await asyncio.sleep(_LOOK_AGAIN)
        if self._is_busy:
            await self._cut()
        await self.lifespan.shutdown()

    @property
    def _is_busy(self) -> bool:
        return bool(self.server_state.tasks or self.server_state.connections)

    async def _cut(self) -> None:
        log.warning("requests_cut", requests=len(self.server_state.tasks))
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CUT_WITHIN)
