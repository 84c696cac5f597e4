"""What a worker joins so that requests are let in, and what they cost is held, written down and settled."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client.registry import Collector

from gatewayz.app import ELECTION_PAUSE, Parts
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import Unavailable
from gatewayz.core.supervision import Work
from gatewayz.credits.charging import Charging, charging, journals_in
from gatewayz.credits.funding import Funding
from gatewayz.credits.metrics import CreditsCollector, CreditsCounts
from gatewayz.credits.recalls import Recalls
from gatewayz.credits.tending import Tending, retire_all, retire_due
from gatewayz.inference.metrics import SpentCollector
from gatewayz.inference.purses import KeptPurses
from gatewayz.inference.turnstile import Turnstile
from gatewayz.limits.admission import Admission
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.metrics import LimitsCollector
from gatewayz.limits.shared import SharedLimits
from gatewayz.settings import database_url
from gatewayz.storage.election import lead

log = structlog.get_logger("gatewayz.credits")

_RENEWALS = 3
"""How often a lease is renewed before it would end."""


@dataclass(frozen=True)
class Paying:
    """`turnstile` is for requests, `works` for the background, `collectors` for the metrics."""

    turnstile: Turnstile
    works: dict[str, tuple[Work, float]]
    collectors: tuple[Collector, ...]


@asynccontextmanager
async def paying(parts: Parts) -> AsyncIterator[Paying]:
    """At the end what is written down is settled, and what this worker alone has held is given back."""
    settings, money, clock = parts.settings, parts.credits, SystemClock()
    place = f"worker-{secrets.token_hex(6)}"
    async with AsyncExitStack() as stack:
        charges = await stack.enter_async_context(
            charging(journals_in(settings.data_dir), money.settlement, settings.credits)
        )
        recalls = Recalls(parts.database, charges.journal, settings.credits)
        stack.push_async_callback(recalls.settle)
        admission = _admission(parts)
        own, shared = KeptPurses(admission, is_local=True), KeptPurses(admission, is_local=False)
        stack.push_async_callback(_give_back, parts, admission, own, place)
        tending = Tending(
            money.tranches, shared, money.repository, money.reconciliation, settings.credits, clock
        )  # fmt: skip
        turnstile = Turnstile(
            admission,
            Funding(money.tranches, shared),
            Funding(money.tranches, own),
            charges.journal,
            recalls,
            clock,
            place=place,
        )
        collectors = (
            CreditsCollector(lambda: _counts(charges, tending)),
            LimitsCollector(admission),
            SpentCollector(turnstile.spent),
        )
        works = _works(parts, charges, tending, admission, own, place)
        yield Paying(turnstile, {**works, "write recalls": (recalls.follow, settings.credits.settle_every)}, collectors)


def _admission(parts: Parts) -> Admission:
    config, clock = parts.settings.limits, SystemClock()
    shared = None
    if parts.scripts is not None:
        parts.scripts.open()
        prefix = f"gw:limits:{parts.installation}:"
        shared = SharedLimits(parts.scripts, prefix=prefix, lease=config.lease, within=config.answer)
    local = LocalLimits(clock, share=parts.settings.workers, lease=config.lease)
    return Admission(shared, local)


def _works(  # noqa: PLR0917  the parts
    parts: Parts, charges: Charging, tending: Tending, admission: Admission, own: KeptPurses, place: str
) -> dict[str, tuple[Work, float]]:
    config = parts.settings.credits

    async def retire_own() -> None:
        if admission.has_local_purses:
            await retire_due(parts.credits.tranches, own, place, config)

    return {
        "settle charges": (lambda: charges.settler.follow(charges.journal), config.settle_every),
        "sync the journal": (charges.journal.sync, config.sync_every),
        "adopt journals": (charges.settler.adopt, config.adopt_every),
        "tend tranches": (
            lambda: lead(database_url(parts.settings), "tranches", tending.tend_for_ever),
            ELECTION_PAUSE,
        ),
        "retire own tranches": (retire_own, config.tend_every),
        "renew leases": (admission.renew, parts.settings.limits.lease / _RENEWALS),
    }


async def _give_back(parts: Parts, admission: Admission, own: KeptPurses, place: str) -> None:
    if not admission.has_local_purses:
        return
    try:
        await retire_all(parts.credits.tranches, own, place)
    except Unavailable as error:
        log.warning("tranches_left_behind", place=place, reason=error.message)  # they are retired when they are old


def _counts(charges: Charging, tending: Tending) -> CreditsCounts:
    return CreditsCounts(
        settled=charges.settler.settled,
        written_off=charges.settler.written_off,
        refused=charges.settler.refused,
        damaged=charges.journal.damaged,
        unsettled_bytes=charges.journal.unsettled_bytes,
        is_failing=charges.journal.is_failing,
        drift=tending.drift,
    )
