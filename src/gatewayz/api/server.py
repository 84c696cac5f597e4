"""How uvicorn serves the gateway, in one place for `gatewayz serve`, tests and benchmarks."""

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatewayz.api.answer import Application
from gatewayz.api.protocol import BoundedProtocol

# Streams may take this long to end after a stop was asked for.
DRAIN_SECONDS = 30


def server_config(
    app: Application | str,
    *,
    workers: int = 1,
    drain_seconds: int = DRAIN_SECONDS,
    protocol: type[HttpToolsProtocol] = BoundedProtocol,
) -> uvicorn.Config:
    """`app`: an ASGI application, or the import string of a function that makes one."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
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
        timeout_graceful_shutdown=drain_seconds,
        backlog=2048,
    )
