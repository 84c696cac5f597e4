"""One worker of a gateway as a process of its own, by the environment's settings; it prints on what port it listens."""

import asyncio
import socket

from gatewayz.api.draining import Drain
from gatewayz.api.server import Server, server_config
from gatewayz.core.clock import SystemClock
from gatewayz.settings import load_settings
from gatewayz.telemetry.logs import configure_logs
from gatewayz.worker import Worker


async def main() -> None:
    settings = load_settings()
    configure_logs(settings.log)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        drain = Drain(settings.drain, SystemClock())
        server = Server(server_config(Worker(settings, drain)), drain)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0.01)
        print(listener.getsockname()[1], flush=True)  # noqa: T201  it is asked for
        await running


if __name__ == "__main__":
    asyncio.run(main())
