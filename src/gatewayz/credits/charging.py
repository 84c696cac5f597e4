"""A worker's way with charges: its journal, and the settler that follows it, for as long as the worker serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from msgspec import Struct

from gatewayz.core.errors import Unavailable
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.journal import Journal
from gatewayz.credits.settlement import Settlement
from gatewayz.credits.settler import Settler

log = structlog.get_logger("gatewayz.credits")

_DRAIN_WITHIN = 5.0


class Charging(Struct, frozen=True):
    """`journal.write` is for requests; `settler.follow(journal)`, `settler.adopt` and `journal.sync` are for the
    background.
    """

    journal: Journal
    settler: Settler


def journals_in(data_dir: Path) -> Path:
    return data_dir / "charges"


@asynccontextmanager
async def charging(directory: Path, settlement: Settlement, config: CreditsConfig) -> AsyncIterator[Charging]:
    """A journal of one's own in this directory. At the end what is in it is settled, for 5 s at most; what is left then
    waits on disk for the next worker.
    """
    journal = Journal(directory)
    settler = Settler(directory, settlement, config)
    try:
        yield Charging(journal, settler)
    finally:
        try:
            async with asyncio.timeout(_DRAIN_WITHIN):
                await settler.drain(journal)
        except (Unavailable, TimeoutError):
            log.warning("charges_left_for_the_next_worker", bytes=journal.unsettled_bytes)
        finally:
            journal.close()
