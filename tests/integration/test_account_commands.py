"""`gatewayz keys`, `accounts` and `plans`, as they are typed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from gatewayz.settings import Settings, database_url

Run = Callable[..., Awaitable["subprocess.CompletedProcess[str]"]]


@pytest.fixture
def run(settings: Settings) -> Run:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(settings),
        "REDIS_URL": settings.redis_url() or "",
        "GATEWAYZ_DATA_DIR": str(settings.data_dir),
    }

    async def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "gatewayz", *words]
        return await asyncio.to_thread(
            subprocess.run, command, env=environment, check=False, timeout=60, capture_output=True, text=True
        )

    return run


async def said(run: Run, *words: str) -> Any:  # noqa: ANN401  any JSON
    done = await run(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
async def test_a_plan_an_account_and_a_key_are_made_changed_and_listed(run: Run, db: asyncpg.Connection) -> None:
    plan = await said(run, "plans", "create", "team", "--allowance", "20", "--limit", "requests_per_minute=600")
    assert (plan["id"], plan["allowance"], plan["limits"]) == ("team", "20", {"requests_per_minute": 600})
    plan = await said(run, "plans", "set", "team", "--name", "Team", "--limit", "none")
    assert (plan["name"], plan["limits"], plan["allowance"]) == ("Team", {}, "20")
    account = await said(run, "accounts", "create", "acme", "--plan", "team", "--plan-ends", "30d")
    assert (account["username"], account["plan"]) == ("acme", "team")
    trial = await said(run, "accounts", "trial", "acme", "--allowance", "5", "--ends", "14d")
    assert (trial["account_id"], trial["allowance"]) == (account["id"], "5")
    made = await said(
        run, *("keys", "create", "--name", "ci", "--account", "acme", "--credits", "2.50", "--scope", "inference"),
        *("--model", "openai/*", "--network", "192.0.2.0/24", "--limit", "concurrent=2", "--budget", "25"),
        *("--budget-period", "month", "--expires", "2100-01-01", "--environment", "test", "--unknown-prices"),
    )  # fmt: skip
    assert made["key"].startswith("gw_test_")
    assert (made["account"], made["scopes"], made["models"]) == ("acme", ["inference"], ["openai/*"])
    assert (made["limits"], made["budget"], made["budget_period"]) == ({"concurrent": 2}, "25", "month")
    assert (made["expires_at"], made["pays_unknown_prices"], made["credits_added"]) == (4_102_444_800, True, "2.5")
    changed = await said(
        run, *("keys", "set", made["id"], "--model", "any", "--network", "any", "--budget", "none"),
        *("--limit", "none", "--expires", "never", "--known-prices-only", "--name", "nightly"),
    )  # fmt: skip
    assert (changed["models"], changed["networks"], changed["limits"], changed["budget"]) == ([], [], {}, None)
    assert (changed["expires_at"], changed["pays_unknown_prices"], changed["name"]) == (None, False, "nightly")
    rotated = await said(run, "keys", "rotate", made["id"], "--overlap", "1d", "--reason", "yearly")
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    account = await said(run, "accounts", "set", "acme", "--suspend", "--limit", "concurrent=none")
    assert (account["is_active"], account["limits"]) == (False, {"concurrent": None})
    listed = await said(run, "keys", "list")
    assert [key["name"] for key in listed] == ["test", "nightly"]
    assert "acme" in [each["username"] for each in await said(run, "accounts", "list")]
    rows = await db.fetch("SELECT actor, action, reason FROM audit_log ORDER BY id DESC LIMIT 2")
    assert [tuple(row) for row in rows] == [("cli", "account.change", None), ("cli", "key.rotate", "yearly")]


@pytest.mark.slow
async def test_tables_show_how_things_stand(run: Run) -> None:
    await said(run, "plans", "create", "team", "--limit", "tokens_per_day=1000000")
    await said(run, "accounts", "create", "acme", "--plan", "team")
    await said(run, "keys", "create", "--name", "ci", "--account", "acme", "--expires", "2100-01-01")
    keys, accounts, plans = [(await run(what, "list")).stdout for what in ("keys", "accounts", "plans")]
    assert "until 2100-01-01" in keys
    assert "acme" in accounts
    assert "tokens_per_day 1,000,000" in plans


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("keys", "set", "key_0", "--name", "x"), "there is no API key 'key_0'"),
        (("keys", "set", "key_0"), "name what is to change"),
        (("keys", "create", "--name", "x", "--scope", "root"), "'scopes' can hold 'inference'"),
        (("accounts", "set", "nobody", "--suspend"), "there is no account 'nobody'"),
        (("accounts", "create", "test"), "another account has this 'username'"),
        (("accounts", "trial", "test", "--allowance", "none"), "has no trial"),
        (("plans", "delete", "none-such"), "there is no plan"),
    ],
)
async def test_what_cannot_be_is_said_in_a_sentence(run: Run, words: tuple[str, ...], sentence: str) -> None:
    done = await run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
