"""`gatewayz serve`: bring everything up, watch over the workers, take everything down."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gatewayz.app import ENTITIES, assembled
from gatewayz.cli.announcement import announce_keys, announce_ready
from gatewayz.cli.companion import Companion
from gatewayz.cli.console import Output
from gatewayz.cli.first_start import FirstKeys, import_offline, make_keys, sync_without_network
from gatewayz.cli.installation import installation
from gatewayz.cli.supervisor import Supervisor
from gatewayz.core.errors import GatewayzError
from gatewayz.settings import Settings, database_url
from gatewayz.storage.election import alone
from gatewayz.storage.migrate import migrate, schema_state
from gatewayz.telemetry.logs import configure_logs
from gatewayz.telemetry.slots import run_directory


def serve(output: Output) -> None:
    """Blocks until SIGINT or SIGTERM, then finishes what is in flight and stops what it started."""
    began = time.monotonic()
    with installation() as place, _meeting_place(place.settings):
        settings = place.settings
        configure_logs(settings.log)
        listener = _listen(settings)
        keys = asyncio.run(_prepare(settings, output))
        url = _public_url(settings, listener)

        def announce() -> None:
            announce_ready(output, place, url, keys, time.monotonic() - began)

        companion = Companion(place, announce, url)
        companion.start()
        try:
            Supervisor(listener, workers=settings.workers, drain=settings.drain).run()
        finally:
            companion.stop()
    output.say("stopped")


@contextmanager
def _meeting_place(settings: Settings) -> Iterator[None]:
    """Of the workers, who find it in the environment."""
    if settings.run_dir is not None:
        yield
        return
    with run_directory(settings.data_dir) as directory:
        os.environ["GATEWAYZ_RUN_DIR"] = str(directory)
        yield


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small answers at once only over sockets that are known to be TCP's; uvloop does in any case.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise GatewayzError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
            "stop what listens there or choose another with --host and --port"
        ) from error
    listener.set_inheritable(True)
    return listener


async def _prepare(settings: Settings, output: Output) -> FirstKeys | None:
    """Schema, catalog and keys: all that must be there before the first worker starts."""
    url = database_url(settings)
    if not (await schema_state(url, ENTITIES)).is_usable:
        output.say("migrating the database …")
        await migrate(url, ENTITIES)
    async with assembled(settings) as parts, alone(url, "first start"):
        if not await parts.catalog.has_any():
            await import_offline(parts, output)
        await sync_without_network(parts)
        keys = await make_keys(parts)
        if keys is not None:
            announce_keys(output, keys)
        return keys


def _public_url(settings: Settings, listener: socket.socket) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
