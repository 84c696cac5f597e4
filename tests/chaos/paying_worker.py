"""A worker that lets requests in and charges for them as fast as it may, as a gateway does, and is killed.

python -m tests.chaos.paying_worker DATABASE_URL REDIS_URL DATA_DIR ACKNOWLEDGED SEED ACCOUNT…

Several run at a time. A request's line in ACKNOWLEDGED is written once it has ended, as an answer's last byte would be
sent.
"""

import asyncio
import os
import random
import secrets
import signal
import sys
from collections.abc import Sequence
from decimal import Decimal

from gatewayz.accounts.model import Principal
from gatewayz.app import assembled
from gatewayz.catalog.model import Offer, Pricing
from gatewayz.core.errors import InsufficientQuota, Unavailable
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.core.supervision import background
from gatewayz.credits.config import CreditsConfig
from gatewayz.inference.estimate import Estimate
from gatewayz.inference.metering import Usage
from gatewayz.inference.turnstile import Turnstile, Wanted
from gatewayz.paying import paying
from gatewayz.settings import Settings

CONFIG = CreditsConfig(settle_every=0.05, settle_most=100, adopt_every=0.2, sync_every=0.1, tend_every=0.5)
AT_ONCE = 3
DEAREST = 1000
OFFER = Offer(
    id="a/m",
    provider="p",
    native_id="m",
    unique_id="a/m",
    name="M",
    pricing=Pricing(prompt=Decimal("0.000000001"), completion=Decimal(0)),
)
"""A token of its prompt costs a nano-dollar."""


def settings_of(database_url: str, redis_url: str, data_dir: str) -> Settings:
    return Settings.model_validate(
        {
            "storage": {"database_url": database_url, "connect_timeout": 1},
            "cache": {"redis_url": redis_url, "redis_socket_connect_timeout": 1},
            "data_dir": data_dir,
            "credits": CONFIG,
        }
    )


async def main(database_url: str, redis_url: str, data_dir: str, acknowledged: str, seed: str, *ids: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    callers = [_caller(AccountId(int(each))) for each in ids]
    async with (
        assembled(settings_of(database_url, redis_url, data_dir)) as parts,
        paying(parts) as pay,
        background(pay.works),
    ):
        rngs = [random.Random(f"{seed} {number}") for number in range(AT_ONCE)]
        await asyncio.gather(*(_serve(pay.turnstile, callers, rng, log, stopped) for rng in rngs))


async def _serve(
    turnstile: Turnstile, callers: Sequence[Principal], rng: random.Random, log: int, stopped: asyncio.Event
) -> None:
    while not stopped.is_set():
        most = rng.randint(1, DEAREST)
        wanted = Wanted(
            caller=rng.choice(callers),
            generation=f"gen_{secrets.token_hex(8)}",
            model=OFFER.id,
            offers=(OFFER,),
            estimate=Estimate(prompt_bound=most, likely_prompt=most // 2, output=0, likely=most // 2),
            is_streaming=False,
        )
        used = rng.randint(0, most)
        try:
            async with turnstile.passed(wanted) as let_in:
                await asyncio.sleep(0.001)
                let_in.served(OFFER, Usage(prompt=used))
        except (Unavailable, InsufficientQuota):
            await asyncio.sleep(0.01)
        else:
            os.write(log, f"{wanted.generation} {wanted.caller.account_id} {used}\n".encode())


def _caller(account: AccountId) -> Principal:
    limits = (
        Limit(Subject.ACCOUNT, Measure.REQUESTS, 10**9, 60),
        Limit(Subject.KEY, Measure.CONCURRENT, 1000),
    )
    return Principal(key_id=ApiKeyId(f"key_{account}"), account_id=account, scopes=("inference",), limits=limits)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
