"""An ASGI application behind the server of a worker, on one of its protocols, in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gatewayz.api.answer import Application
from gatewayz.api.config import DrainConfig
from gatewayz.api.draining import Drain
from gatewayz.api.protocol import BoundedProtocol
from gatewayz.api.server import Server, server_config
from gatewayz.core.clock import SystemClock


@asynccontextmanager
async def listening(
    application: Application, protocol: type[BoundedProtocol], *, keep_alive: int | None = None
) -> AsyncIterator[int]:
    """Its port. `keep_alive`: seconds that a connection may idle."""
    drain = Drain(DrainConfig(limit=1), SystemClock())
    server = Server(server_config(application, protocol=protocol), drain)
    server.config.port = 0
    if keep_alive is not None:
        server.config.timeout_keep_alive = keep_alive
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({serving}, timeout=0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        drain.begin()
        await serving
