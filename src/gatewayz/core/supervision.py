"""Background work that must go on: one edge where any error is logged and the work begun again."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger("gatewayz.background")

Work = Callable[[], Awaitable[Any]]


async def supervised(name: str, work: Work, *, pause: float) -> None:
    """Run `work` again and again, `pause` seconds apart, whatever it raises. An infinite pause: run it once."""
    told = ""
    while True:
        try:
            await work()
            told = ""
        except Exception as error:  # noqa: BLE001  the background edge: what failed is logged and begun again
            reason = f"{type(error).__name__}: {error}"
            # A database that is away for an hour is one line, not thousands.
            if reason != told:
                log.warning("background_work_failed", work=name, error=reason)
            told = reason
        if pause == math.inf:
            return
        await asyncio.sleep(pause)


@asynccontextmanager
async def background(works: Mapping[str, tuple[Work, float]]) -> AsyncIterator[None]:
    """Run each work (with its pause in seconds) beside the block; cancelled at its end."""
    tasks = [
        asyncio.create_task(supervised(name, work, pause=pause), name=name) for name, (work, pause) in works.items()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
