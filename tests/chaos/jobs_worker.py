"""A process that stands for the fleet's jobs, of which there is one: it writes down that it runs, every 50 ms.
It says when it stands.

python -m tests.chaos.jobs_worker DATABASE_URL DATA_DIR
"""

import asyncio
import os
import secrets
import sys
from typing import Any

from gatewayz.app import ELECTION_PAUSE, assembled
from gatewayz.core.supervision import background
from gatewayz.fleet_jobs import hold_jobs
from gatewayz.jobs.model import Asked, Job
from gatewayz.settings import Settings

_TICKS = 40
_TICK_EVERY = 0.05


async def main(database_url: str, data_dir: str) -> None:
    settings = Settings.model_validate({"storage": {"database_url": database_url}, "data_dir": data_dir})
    async with assembled(settings) as parts:

        async def tick(_asked: Asked) -> dict[str, Any]:
            run = secrets.token_hex(8)
            for _ in range(_TICKS):
                await parts.database.execute(
                    "INSERT INTO ticks (run, pid, at) VALUES ($1, $2, clock_timestamp())", run, os.getpid()
                )
                await asyncio.sleep(_TICK_EVERY)
            return {"run": run}

        job = Job(name="tick", description="Tick.", every=0.05, within=60, work=tick, is_eager=True)
        async with background({"jobs": (lambda: hold_jobs(parts, lambda: [job]), ELECTION_PAUSE)}):
            sys.stdout.write("standing\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
