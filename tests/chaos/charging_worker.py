"""A worker that charges accounts as fast as it may, writes down what it has charged, and is killed.

python -m tests.chaos.charging_worker DATABASE_URL JOURNALS ACKNOWLEDGED SEED ACCOUNT…

A request's line in ACKNOWLEDGED is written after its charge is in the journal, as an answer's last byte would be sent.
"""

import asyncio
import os
import random
import secrets
import signal
import sys
import time
from pathlib import Path

from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import InsufficientQuota, Unavailable
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.money import NanoUsd
from gatewayz.core.supervision import background
from gatewayz.credits.charging import charging
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.funding import Funding
from gatewayz.credits.journal import Journal
from gatewayz.credits.model import Charge, Owner
from gatewayz.credits.settlement import Settlement
from gatewayz.credits.tranches import Tranches
from gatewayz.storage.database import Database
from tests.support.dict_purses import DictPurses

CONFIG = CreditsConfig(settle_every=0.05, settle_most=100, adopt_every=0.2, sync_every=0.1)
DEAREST = 1000
_PAUSE = 0.001


async def main(url: str, journals: str, acknowledged: str, seed: str, *accounts: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    database = Database(url, pool_size=4, connect_timeout=1, command_timeout=10)
    await database.open()
    log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    purses = DictPurses()
    funding = Funding(Tranches(database, CONFIG, SystemClock()), purses)
    async with (
        charging(Path(journals), Settlement(database), CONFIG) as own,
        background(
            {
                "settle": (lambda: own.settler.follow(own.journal), 0.1),
                "sync": (own.journal.sync, CONFIG.sync_every),
                "adopt": (own.settler.adopt, CONFIG.adopt_every),
            }
        ),
    ):
        rng = random.Random(seed)
        while not stopped.is_set():
            owner = Owner(AccountId(int(rng.choice(accounts))), place=f"worker {os.getpid()}")
            await _request(owner, rng.randint(1, DEAREST), rng.random(), funding, purses, own.journal, log)
            await asyncio.sleep(_PAUSE)
    await database.close()


async def _request(  # noqa: PLR0917  what a request has at hand
    owner: Owner, hold: int, share: float, funding: Funding, purses: DictPurses, journal: Journal, log: int
) -> None:
    tranche = purses.take(owner, hold)
    if tranche is None:
        known = purses.left.get(owner)
        try:
            await funding.fill(owner, NanoUsd(hold), known and known[0])
        except (Unavailable, InsufficientQuota):
            return
        tranche = purses.take(owner, hold)
        assert tranche is not None
    charge = Charge(
        request_id=f"gen_{secrets.token_hex(8)}",
        account_id=owner.account_id,
        key_id=ApiKeyId("k"),
        model="a/m",
        provider="p",
        ended_at=time.time(),
        cost=NanoUsd(int(hold * share)),
        hold=NanoUsd(hold),
        tranche=tranche,
    )
    journal.write(charge)
    purses.give(owner, tranche, hold - charge.cost)
    os.write(log, f"{charge.request_id} {charge.account_id} {charge.cost}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
