"""Accounts' own keys at rest: when the installation's secret changes, and by command."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from pydantic import SecretStr
from tests.support.gateway import parts_of

from gatewayz.accounts.model import Principal
from gatewayz.accounts.provider_keys import OwnKeys
from gatewayz.app import Parts
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.settings import Settings, database_url

KEY = "sk-of-the-account-0123456789"


def with_secret(settings: Settings, secret: str, former: str | None = None) -> Settings:
    changed = {"secret_key": SecretStr(secret), "former_secret_key": former and SecretStr(former)}
    return settings.model_copy(update=changed)


async def opened(parts: Parts, account_id: AccountId) -> OwnKeys:
    return await parts.provider_keys.of(
        Principal(key_id=ApiKeyId("k"), account_id=account_id, scopes=(), has_own_keys=True)
    )


async def test_the_secret_can_be_changed_and_what_the_former_has_sealed_is_sealed_anew(settings: Settings) -> None:
    async with parts_of(with_secret(settings, "first")) as parts:
        account_id = (await parts.accounts.create(username="acme")).id
        made = await parts.provider_keys.set(account_id, "openai", KEY)
        own = (await opened(parts, account_id))["openai"]
        assert own.secret is not None
        assert (own.secret.get_secret_value(), own.id) == (KEY, made.id)
        assert await parts.provider_keys.reseal() == (0, 0)
    async with parts_of(with_secret(settings, "second")) as parts:
        assert (await opened(parts, account_id))["openai"].secret is None
        assert await parts.provider_keys.reseal() == (0, 1)
    async with parts_of(with_secret(settings, "second", "first")) as parts:
        own = (await opened(parts, account_id))["openai"]
        assert own.secret is not None
        assert await parts.provider_keys.reseal() == (1, 0)
    async with parts_of(with_secret(settings, "second")) as parts:
        own = (await opened(parts, account_id))["openai"]
        assert own.secret is not None
        assert (own.secret.get_secret_value(), own.id) == (KEY, made.id)


@pytest.mark.slow
async def test_a_key_is_read_from_standard_input_listed_without_itself_and_removed(settings: Settings) -> None:
    async with parts_of(settings) as parts:
        await parts.accounts.create(username="acme")
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(settings),
        "REDIS_URL": settings.redis_url() or "",
        "GATEWAYZ_DATA_DIR": str(settings.data_dir),
    }

    async def run(*words: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "gatewayz", "accounts", "provider-keys", *words]
        return await asyncio.to_thread(
            subprocess.run,
            command,
            env=environment,
            check=False,
            timeout=60,
            capture_output=True,
            text=True,
            input=typed,
        )

    done = await run("set", "acme", "openai", "--json", typed=f"{KEY}\n")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["provider"], made["last_four"]) == ("openai", KEY[-4:])
    listed = await run("list", "acme")
    assert made["id"] in listed.stdout
    assert KEY not in done.stdout + done.stderr + listed.stdout
    assert "no provider" in (await run("set", "acme", "opnai", typed=KEY)).stderr
    assert (await run("remove", "acme", "openai")).returncode == 0
    again = await run("remove", "acme", "openai")
    assert (again.returncode, "no key of its own" in again.stderr) == (1, True)
