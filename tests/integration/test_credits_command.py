"""`gatewayz credits check` as a script would run it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import asyncpg

from gatewayz.settings import Settings, database_url


async def check(settings: Settings, *options: str) -> tuple[int, str]:
    redis_url = settings.redis_url()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(settings),
        "GATEWAYZ_DATA_DIR": str(settings.data_dir),
        **({"REDIS_URL": redis_url} if redis_url else {}),
    }
    command = (sys.executable, "-m", "gatewayz", "credits", "check", *options)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, cwd=Path(__file__).parent)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_drift_is_told_and_is_exit_code_1(settings: Settings, db: asyncpg.Connection) -> None:
    assert await check(settings, "--json") == (0, "[]\n")
    account = await db.fetchval("UPDATE credit_balances SET purchased = 5 RETURNING account_id")
    code, said = await check(settings, "--json")
    expected = {"what": "purchased: the ledger and the balance", "account_id": account, "expected": 0, "found": 5}
    assert (code, json.loads(said)) == (1, [expected])
    code, said = await check(settings)
    assert code == 1
    assert "0.000000005" in said
