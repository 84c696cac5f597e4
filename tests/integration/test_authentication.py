"""Who a key stands for: known at once when warm, as it is now when changed, and never guessed when nobody can tell."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from tests.support.fake_clock import FakeClock
from tests.support.fleet import fleet
from tests.support.gateway import parts_of

from gatewayz.accounts.accounts import Identity
from gatewayz.accounts.authentication import REFUSALS, Authentication
from gatewayz.accounts.digest import KeyDigester, pepper_from
from gatewayz.accounts.model import Principal
from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE
from gatewayz.accounts.secret import made_secret
from gatewayz.accounts.strangers import Strangers
from gatewayz.api.admin.forms import new_key_form
from gatewayz.api.errors import for_client
from gatewayz.app import Parts
from gatewayz.cache.errors import LoadFailed
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import (
    AddressNotAllowed,
    ErrorKind,
    GatewayzError,
    InvalidApiKey,
    InvalidRequest,
    ScopeMissing,
    TooManyUnknownKeys,
)
from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.settings import Settings, database_url

FLOOD = 100_000
BURST = 200
HOUR = 3600.0


def here() -> str:
    return "192.0.2.1"


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with parts_of(settings) as parts:
        yield parts


@pytest.fixture
def digester(settings: Settings) -> KeyDigester:
    return KeyDigester(pepper_from(None, settings.data_dir))


def authentication(parts: Parts, digester: KeyDigester, clock: FakeClock) -> Authentication:
    """One whose time the test owns."""
    return Authentication(parts.cache, digester, clock, Strangers(clock, rate=20, burst=BURST))


def at_once(work: Coroutine[Any, Any, Principal]) -> Principal:
    """The result of a coroutine that waits for nothing: no I/O can have been done."""
    try:
        work.send(None)
    except StopIteration as done:
        principal: Principal = done.value
        return principal
    work.close()
    raise AssertionError("it waited for something")


def loads(parts: Parts) -> int:
    return parts.cache.stats().entities["auth:key"].counts.loads


async def test_a_warm_key_is_recognised_without_a_question_to_redis_or_the_database(
    parts: Parts, redis_of: Redis
) -> None:
    made = await parts.keys.create(name="n", account="a", networks=["192.0.2.0/24"])
    first = await parts.authentication.authenticate(made.secret, INFERENCE, lambda: "192.0.2.7")
    before, asked = loads(parts), await scripts_run(redis_of)
    for _ in range(1000):
        assert at_once(parts.authentication.authenticate(made.secret, INFERENCE, lambda: "192.0.2.7")) is first
    assert (loads(parts), await scripts_run(redis_of)) == (before, asked)


@pytest.fixture
async def redis_of(settings: Settings) -> AsyncIterator[Redis]:
    url = settings.redis_url()
    if url is None:
        pytest.skip("no Redis")
    async with Redis.from_url(url) as redis:
        yield redis


async def scripts_run(redis: Redis) -> int:
    """How many reads of the cache Redis has answered."""
    stats = await redis.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_get") if name in stats)


async def test_the_principal_says_all_that_was_said_of_the_key_and_its_account(parts: Parts) -> None:
    await parts.plans.create("team", limits={"requests_per_minute": 60, "concurrent": 4, "tokens_per_day": 10})
    account = await parts.accounts.create(
        username="a", plan="team", limits={"requests_per_minute": 600, "concurrent": None}
    )
    made = await parts.keys.create(
        name="n",
        account=account.id,
        environment="test",
        scopes=(INFERENCE, ADMIN),
        models=["openai/*"],
        networks=["192.0.2.0/24"],
        limits={"requests_per_minute": 5},
        budget=NanoUsd(1),
        budget_period="day",
        pays_unknown_prices=True,
    )
    principal = await parts.authentication.authenticate(made.secret, ADMIN, here)
    assert principal == Principal(
        key_id=made.record.id,
        account_id=account.id,
        scopes=(INFERENCE, ADMIN),
        environment="test",
        models=("openai/*",),
        networks=("192.0.2.0/24",),
        limits=(
            Limit(Subject.KEY, Measure.REQUESTS, 5, 60),
            Limit(Subject.ACCOUNT, Measure.REQUESTS, 600, 60),
            Limit(Subject.ACCOUNT, Measure.TOKENS, 10, 86_400),
        ),
        has_budget=True,
        pays_unknown_prices=True,
        plan="team",
    )


async def test_time_alone_ends_a_key_an_overlap_and_a_plan(parts: Parts, digester: KeyDigester) -> None:
    began = SystemClock().now()
    clock = FakeClock(began)
    door = authentication(parts, digester, clock)
    await parts.plans.create("short", limits={"concurrent": 1})
    await parts.plans.create("long", limits={"concurrent": 2})
    account = await parts.accounts.create(username="a", plan="short", plan_ends_at=began + HOUR, next_plan="long")
    made = await parts.keys.create(name="n", account=account.id, expires_at=began + 3 * HOUR)
    rotated = await parts.keys.rotate(made.record.id, overlap=2 * HOUR)
    for secret in (made.secret, rotated.secret):
        assert (await door.authenticate(secret)).plan == "short"
    clock.advance(HOUR + 1)
    for secret in (made.secret, rotated.secret):
        principal = at_once(door.authenticate(secret))
        assert (principal.plan, [limit.amount for limit in principal.limits]) == ("long", [2])
    clock.advance(HOUR)
    with pytest.raises(InvalidApiKey):
        at_once(door.authenticate(made.secret))
    assert at_once(door.authenticate(rotated.secret)).plan == "long"
    clock.advance(HOUR)
    with pytest.raises(InvalidApiKey):
        at_once(door.authenticate(rotated.secret))


async def test_scope_and_address_are_asked_after_each_time(parts: Parts) -> None:
    made = await parts.keys.create(name="n", account="a", scopes=(ACCOUNT,), networks=["192.0.2.0/24", "2001:db8::/32"])
    with pytest.raises(ScopeMissing, match="'inference'"):
        await parts.authentication.authenticate(made.secret, INFERENCE, here)
    for address in ("192.0.2.1", "2001:db8::1"):
        await parts.authentication.authenticate(made.secret, ACCOUNT, partial(_same, address))
    elsewhere: tuple[str | None, ...] = ("192.0.3.1", "2001:db9::1", "nonsense", None)
    with pytest.raises(AddressNotAllowed):
        await parts.authentication.authenticate(made.secret, ACCOUNT)
    for other in elsewhere:
        with pytest.raises(AddressNotAllowed):
            await parts.authentication.authenticate(made.secret, ACCOUNT, partial(_same, other))


def _same(address: str | None) -> str | None:
    return address


CHANGES = {
    "scopes": "UPDATE api_keys SET scopes = '{account}'",
    "models": "UPDATE api_keys SET models = '{a/b}'",
    "networks": "UPDATE api_keys SET networks = '{192.0.2.0/24}'",
    "expiry": "UPDATE api_keys SET expires_at = now() + interval '1 day'",
    "budget": "UPDATE api_keys SET budget_nano = 5",
    "key's limits": """UPDATE api_keys SET limits = '{"concurrent": 1}'""",
    "account's limits": """UPDATE accounts SET limits = '{"concurrent": 1}'""",
    "account's plan": "UPDATE accounts SET plan_id = 'team'",
    "plan's limits": """UPDATE plans SET limits = '{"tokens_per_day": 1}'""",
}


@pytest.mark.parametrize("has_redis", [True, False], ids=["redis", "no redis"])
async def test_what_is_changed_by_hand_is_what_every_worker_goes_by(
    settings: Settings, db: asyncpg.Connection, *, has_redis: bool
) -> None:
    if not has_redis:
        settings = settings.model_copy(update={"cache": settings.cache.model_copy(update={"redis_url": None})})
    async with fleet(settings) as workers:
        await workers[0].plans.create("team", limits={"concurrent": 9})
        account = await workers[0].accounts.create(username="a")
        made = await workers[0].keys.create(name="n", account=account.id)
        for change in CHANGES.values():
            before = [await each.authentication.authenticate(made.secret, address=here) for each in workers]
            await db.execute(change)
            async with asyncio.timeout(5):
                for each, old in zip(workers, before, strict=True):
                    while await each.authentication.authenticate(made.secret, None, here) == old:  # noqa: ASYNC110  each hears for itself
                        await asyncio.sleep(0.001)


async def test_a_key_revoked_by_a_command_is_refused_by_every_worker_when_it_returns(settings: Settings) -> None:
    async with fleet(settings) as workers:
        made = await workers[0].keys.create(name="n", account="a")
        for each in workers:
            await each.authentication.authenticate(made.secret)
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(settings),
            "REDIS_URL": settings.redis_url() or "",
            "GATEWAYZ_DATA_DIR": str(settings.data_dir),
        }
        command = [sys.executable, "-m", "gatewayz", "keys", "revoke", made.record.id, "--reason", "leaked"]
        await asyncio.to_thread(subprocess.run, command, env=environment, check=True, timeout=60, capture_output=True)
        for each in workers:
            with pytest.raises(InvalidApiKey):
                await each.authentication.authenticate(made.secret)
        (noted,) = (await workers[0].audit.list_rows(target=made.record.id, limit=1, offset=0)).items
        assert (noted.actor, noted.action, noted.reason) == ("cli", "key.revoke", "leaked")


async def test_a_database_that_cannot_be_asked_is_no_refusal(settings: Settings, digester: KeyDigester) -> None:
    nowhere = settings.storage.model_copy(update={"database_url": SecretStr("postgresql://x@127.0.0.1:9/x")})
    async with parts_of(settings.model_copy(update={"storage": nowhere})) as parts:
        for secret in (made_secret(digester, "live"), "an-old-key"):
            with pytest.raises(LoadFailed) as failed:
                await parts.authentication.authenticate(secret)
            assert for_client(failed.value).kind is ErrorKind.UNAVAILABLE
        with pytest.raises(InvalidApiKey):
            at_once(parts.authentication.authenticate(f"gw_live_{'A' * 49}"))


async def test_a_bad_key_tried_again_is_remembered_until_there_is_such_a_key(
    parts: Parts, digester: KeyDigester, clock: FakeClock
) -> None:
    door = authentication(parts, digester, clock)
    secret = "an-old-key-0123456789"
    with pytest.raises(InvalidApiKey):
        await door.authenticate(secret)
    before = loads(parts)
    for _ in range(2 * BURST):
        with pytest.raises(InvalidApiKey):
            at_once(door.authenticate(secret))
    assert loads(parts) == before
    made = await parts.keys.create(name="n", account="a", secret=secret)
    assert (await door.authenticate(secret)).key_id == made.record.id


async def test_a_key_that_seems_to_be_of_another_installation_cannot_be_set(parts: Parts) -> None:
    with pytest.raises(InvalidRequest, match="another installation"):
        await parts.keys.create(name="n", account="a", secret=made_secret(KeyDigester(b"q" * 32), "live"))


async def test_an_account_is_found_by_its_name_and_by_who_vouches_for_it(
    settings: Settings, db: asyncpg.Connection
) -> None:
    async with fleet(settings) as (one, other):
        identity: Identity = {"issuer": "https://login.example", "subject": "the-subject"}
        assert await other.accounts.find_by_identity(**identity) is None
        account = await one.accounts.create(username="a", identity=identity)
        assert await other.accounts.find_by_identity(**identity) == account
        assert await other.accounts.find_by_username("a") == account
        await db.execute("UPDATE accounts SET username = 'b' Where id = $1", account.id)
        async with asyncio.timeout(5):
            while await other.accounts.find_by_username("a") is not None:  # noqa: ASYNC110  a commit tells it
                await asyncio.sleep(0.001)
        renamed = await other.accounts.find_by_identity(**identity)
        assert renamed is not None
        assert renamed.username == "b"


async def test_a_trial_runs_until_it_ends_and_is_seen_changed(settings: Settings, db: asyncpg.Connection) -> None:
    async with fleet(settings) as (one, other):
        account = await one.accounts.create(username="a")
        assert await other.accounts.running_trial(account.id) is None
        ends_at = float(round(SystemClock().now() + HOUR))  # the database keeps microseconds, a float a little more
        await one.accounts.set_trial(account.id, allowance=NanoUsd(5), ends_at=ends_at)
        trial = await other.accounts.running_trial(account.id)
        assert trial is not None
        assert (trial.allowance, trial.is_running(ends_at - 1), trial.is_running(ends_at)) == (5, True, False)
        await db.execute("DELETE FROM trials")
        async with asyncio.timeout(5):
            while await other.accounts.running_trial(account.id) is not None:  # noqa: ASYNC110  a commit tells it
                await asyncio.sleep(0.001)


async def test_no_secret_stands_in_a_table_in_redis_or_in_a_repr(
    parts: Parts, db: asyncpg.Connection, redis_of: Redis
) -> None:
    identity: Identity = {"issuer": "https://login.example", "subject": "the-subject-of-it"}
    account = await parts.accounts.create(username="a", identity=identity)
    made = await parts.keys.create(name="n", account=account.id)
    rotated = await parts.keys.rotate(made.record.id, overlap=HOUR)
    hidden = (made.secret[8:-4], rotated.secret[8:-4], identity["subject"])
    for secret in (made.secret, rotated.secret):
        await parts.authentication.authenticate(secret)
    await parts.accounts.find_by_identity(**identity)
    principal = await parts.authentication.authenticate(rotated.secret)
    tables = [row[0] for row in await db.fetch("SELECT tablename FROM pg_tables Where schemaname = 'public'")]
    said = [str(await db.fetchval(f"SELECT json_agg(t)::text FROM {table} t")) for table in tables]
    async for key in redis_of.scan_iter():
        said += [key.decode("latin-1"), str(await redis_of.dump(key))]
    said += map(repr, (made, rotated, principal, account, parts.keys, parts.authentication, parts))
    said.append(repr(new_key_form(made.record, made.secret)))
    assert len(said) > len(tables)
    assert [text[:80] for text in said if any(secret in text for secret in hidden)] == []


async def test_a_flood_of_made_up_keys_in_our_form_asks_nobody(parts: Parts) -> None:
    good = (await parts.keys.create(name="n", account="a")).secret
    await parts.authentication.authenticate(good)
    before, held = loads(parts), parts.cache.stats().entries
    for number in range(FLOOD):
        with pytest.raises(InvalidApiKey):
            at_once(parts.authentication.authenticate(f"gw_live_{number:049}"))
        if number % 1000 == 0:
            at_once(parts.authentication.authenticate(good))
    assert (loads(parts), parts.cache.stats().entries) == (before, held)


async def test_a_flood_of_keys_without_a_checksum_asks_no_more_than_the_bucket_has(
    parts: Parts, digester: KeyDigester, clock: FakeClock
) -> None:
    door = authentication(parts, digester, clock)
    good = [
        (await parts.keys.create(name="n", account="a", secret="an-old-key-0123456789")).secret,
        (await parts.keys.create(name="n", account="a")).secret,
    ]
    for secret in good:
        await door.authenticate(secret)
    before, held = loads(parts), parts.cache.stats().entries
    refused = {InvalidApiKey: 0, TooManyUnknownKeys: 0}
    for number in range(FLOOD):
        if number == FLOOD // 2:
            clock.advance(5)  # 100 more look-ups
        if number % 1000 == 0:
            for secret in good:
                at_once(door.authenticate(secret))
        try:
            await door.authenticate(f"old-form-{number}")
        except (InvalidApiKey, TooManyUnknownKeys) as refusal:
            refused[type(refusal)] += 1
    assert refused == {InvalidApiKey: BURST - 1 + 100, TooManyUnknownKeys: FLOOD - (BURST - 1 + 100)}
    assert loads(parts) - before == BURST - 1 + 100
    assert parts.cache.stats().entries - held <= BURST + 100


async def test_each_refusal_is_counted_by_its_reason(parts: Parts, digester: KeyDigester) -> None:
    clock = FakeClock()
    auth = authentication(parts, digester, clock)
    ends_at = max(clock.now(), SystemClock().now()) + HOUR
    good = await parts.keys.create(name="n", account="a", expires_at=ends_at, networks=["192.0.2.0/24"])
    revoked = await parts.keys.create(name="n", account="a")
    await parts.keys.revoke(revoked.record.id)
    assert await auth.authenticate(good.secret, "inference", here)
    made_up = good.secret[:-1] + ("0" if good.secret[-1] != "0" else "1")
    for secret, scope, address in (
        ("", None, here),
        ("x" * 10_000, None, here),
        (made_up, None, here),
        (revoked.secret, None, here),
        (revoked.secret, None, here),
        (good.secret, "admin", here),
        (good.secret, None, lambda: "198.51.100.1"),
        (good.secret, None, None),
        *((f"stranger-{number}", None, here) for number in range(BURST + 1)),
    ):
        with pytest.raises(GatewayzError):
            await auth.authenticate(secret, scope, address)
    clock.advance(ends_at - clock.now())
    with pytest.raises(GatewayzError):
        await auth.authenticate(good.secret, None, here)
    expected = {"missing": 1, "malformed": 1, "made_up": 1, "unknown": 2 + BURST, "scope": 1, "network": 2}
    assert auth.refused == {**expected, "flood": 1, "expired": 1}
    assert set(auth.refused) == set(REFUSALS)
