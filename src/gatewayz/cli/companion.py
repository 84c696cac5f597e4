"""A thread beside the workers' supervisor: says when traffic is welcome, then stands for the fleet's jobs."""

import asyncio
import math
import threading
import time
from collections.abc import Callable

import aiohttp
import structlog

from gatewayz.app import ELECTION_PAUSE, assembled
from gatewayz.cli.installation import Installation, revive
from gatewayz.cli.offline import offline_lists
from gatewayz.core.supervision import background
from gatewayz.fleet_jobs import fleet_jobs, hold_jobs

_READY_WITHIN = 60.0
_REVIVAL_PAUSE = 2.0

log = structlog.get_logger("gatewayz.companion")


class Companion:
    """Calls `announce` once `url` welcomes traffic. Jobs run here rather than in a worker, where normalising
    thousands of rows would delay requests, and embedded servers that died are started again.
    """

    def __init__(self, place: Installation, announce: Callable[[], None], url: str) -> None:
        self._place = place
        self._announce = announce
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="companion", daemon=True)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(timeout=10)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._work())
            except asyncio.CancelledError:
                return

    async def _announce_when_ready(self) -> None:
        if await _is_ready(self._url):
            self._announce()

    async def _work(self) -> None:
        self._task = asyncio.current_task()
        async with (
            assembled(self._place.settings) as parts,
            background(
                {
                    "announcement": (self._announce_when_ready, math.inf),
                    "jobs": (lambda: hold_jobs(parts, lambda: fleet_jobs(parts, offline_lists())), ELECTION_PAUSE),
                    "embedded servers": (lambda: _keep_servers(self._place), _REVIVAL_PAUSE),
                }
            ),
        ):
            await asyncio.Event().wait()


async def _keep_servers(place: Installation) -> None:
    started = await asyncio.to_thread(revive, place)
    if started:
        log.warning("embedded_servers_had_died", started=started)


async def _is_ready(url: str) -> bool:
    """Whether the gateway welcomes traffic within a minute."""
    deadline = time.monotonic() + _READY_WITHIN
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"{url}/health/ready") as response:
                    if response.status == 200:
                        return True
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)
    return False
