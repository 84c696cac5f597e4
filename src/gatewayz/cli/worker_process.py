"""The whole life of a worker's process, from its spawning to its exit."""

import asyncio
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from gatewayz.api.draining import Drain
from gatewayz.api.server import Server, server_config
from gatewayz.core.clock import SystemClock
from gatewayz.settings import load_settings
from gatewayz.telemetry.logs import configure_logs
from gatewayz.worker import Worker

LEAVE = signal.SIGTERM
LEAVE_AT_ONCE = signal.SIGQUIT

ALIVE = b"+"
LEAVING = b"-"


def run_worker(listener: socket.socket, told: Connection) -> None:
    """Serve on the listener, by the environment's settings. The supervisor is told each second that the event loop
    turns, and when this worker was asked to leave, by whomever.
    """
    # Ctrl-C reaches every process of a terminal. The supervisor hears it too, and says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = load_settings()
    configure_logs(settings.log)
    os.set_blocking(told.fileno(), False)
    drain = Drain(settings.drain, SystemClock())

    def pulse() -> None:
        # A supervisor that is gone or does not read must not stop a worker.
        with suppress(OSError):
            os.write(told.fileno(), LEAVING if drain.has_begun else ALIVE)

    config = server_config(Worker(settings, drain))
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_served(Server(config, drain, pulse), drain, pulse, listener))


async def _served(server: Server, drain: Drain, pulse: Callable[[], None], listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()

    def leave() -> None:
        drain.begin()
        pulse()

    loop.add_signal_handler(LEAVE, leave)
    loop.add_signal_handler(LEAVE_AT_ONCE, drain.cut)
    _leave_with_parent(loop, leave)
    await server.serve(sockets=[listener])


def _leave_with_parent(loop: asyncio.AbstractEventLoop, leave: Callable[[], None]) -> None:
    """A supervisor that was killed cannot stop its workers: they see it go, and stop as if told to."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def orphaned() -> None:
        loop.remove_reader(parent.sentinel)
        leave()

    loop.add_reader(parent.sentinel, orphaned)
