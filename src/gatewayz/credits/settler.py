"""From the journals into the database, in batches, behind the requests' backs."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg
import msgspec
import structlog

from gatewayz.core.errors import Unavailable
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.journal import Batch, Journal, adopted
from gatewayz.credits.model import Charge
from gatewayz.credits.settlement import Settlement

log = structlog.get_logger("gatewayz.credits")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
# What the database will never take, however often it is asked.
_REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_FAILED = (Unavailable, asyncpg.PostgresError)


class Settler:
    """Settles the journal of its worker, and those of dead workers. Several may run, on one database and one directory.

    A charge that the database refuses for what it is goes to the file `refused.jsonl` beside the journals, and keeps
    back no other.
    """

    def __init__(self, directory: Path, settlement: Settlement, config: CreditsConfig) -> None:
        self._directory = directory
        self._settlement = settlement
        self._config = config
        self.settled = 0
        self.written_off = 0
        self.refused = 0

    async def follow(self, journal: Journal) -> None:
        """Settle what comes into the journal, for ever: what came in one pause together. Where the database is away,
        the file waits and grows.
        """
        while True:
            await journal.wait()
            await asyncio.sleep(self._config.settle_every)
            while (batch := await self._settle_next(journal)) is not None and batch.is_full:
                pass

    async def drain(self, journal: Journal) -> None:
        """Settle all that is there now. Raises Unavailable."""
        while journal.unsettled_bytes:
            await self._settle(journal.read, journal.settled)

    async def adopt(self) -> int:
        """Settle every journal whose worker has died; returns how many there were. Raises Unavailable."""
        count = 0
        while True:
            with adopted(self._directory) as segment:
                if segment is None:
                    return count
                count += 1
                while segment.unsettled:
                    if not await self._settle(segment.read, lambda batch: segment.settled(batch.end)):
                        log.warning("journal_record_cut", file=segment.path.name, bytes=segment.drop_rest())
                log.info("journal_adopted", file=segment.path.name)

    async def _settle_next(self, journal: Journal) -> Batch | None:
        """As `_settle`, however long it takes."""
        pause, told = _FIRST_PAUSE, ""
        while True:
            try:
                return await self._settle(journal.read, journal.settled)
            except _FAILED as error:
                if told != str(error):
                    log.warning("charges_wait", reason=str(error), bytes=journal.unsettled_bytes)
                told = str(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _settle(self, read: Callable[[int], Batch], settled: Callable[[Batch], None]) -> Batch | None:
        """One batch; None if nothing whole was there to read."""
        batch = read(self._config.settle_most)
        if not batch.charges and not batch.damaged:
            return None
        await self._settle_all(batch.charges)
        settled(batch)
        return batch

    async def _settle_all(self, charges: Sequence[Charge]) -> None:
        if not charges:
            return
        try:
            done = await self._settlement.settle(charges)
        except _REFUSED as error:
            if len(charges) == 1:
                self._refuse(charges[0], error)
                return
            middle = len(charges) // 2
            await self._settle_all(charges[:middle])
            await self._settle_all(charges[middle:])
            return
        self.settled += len(done.charges)
        self.written_off += done.written_off
        if done.written_off:
            log.error("charges_written_off", nano_usd=done.written_off)

    def _refuse(self, charge: Charge, error: Exception) -> None:
        self.refused += 1
        log.error("charge_refused", request_id=charge.request_id, reason=f"{type(error).__name__}: {error}")
        with (self._directory / "refused.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(charge) + b"\n")
            file.flush()
            os.fsync(file.fileno())
