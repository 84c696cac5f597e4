"""Secrets of keys vouch for themselves; keys that do not are looked up a few at a time."""

import asyncio
import re
import secrets

import pytest
from tests.support.fake_clock import FakeClock

from gatewayz.accounts.authentication import authorize_model
from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.model import Environment, Principal
from gatewayz.accounts.secret import is_genuine, made_secret
from gatewayz.accounts.strangers import MOST_REMEMBERED, Strangers
from gatewayz.core.errors import ModelNotAllowed, TooManyUnknownKeys
from gatewayz.core.ids import AccountId, ApiKeyId, KeyDigest

DIGESTER = KeyDigester(b"p" * 32)


@pytest.mark.parametrize("environment", ["live", "test"])
def test_a_made_secret_is_genuine_here_and_nowhere_else(environment: Environment) -> None:
    secret = made_secret(DIGESTER, environment)
    assert re.fullmatch(rf"gw_{environment}_[0-9A-Za-z]{{49}}", secret)
    assert is_genuine(DIGESTER, secret) is True
    assert is_genuine(KeyDigester(b"q" * 32), secret) is False


def test_a_secret_changed_anywhere_is_not_genuine() -> None:
    secret = made_secret(DIGESTER, "live")
    for place in range(len("gw_live_"), len(secret)):
        other = "A" if secret[place] != "A" else "B"
        assert is_genuine(DIGESTER, secret[:place] + other + secret[place + 1 :]) is False
    assert is_genuine(DIGESTER, secret.replace("gw_live_", "gw_test_")) is False


@pytest.mark.parametrize(
    "secret",
    [
        *("", "x", "an-admin-key", "gw_live_nobody", "sk-1", "gw_prod_" + "a" * 49),
        pytest.param(f"gw_live_{secrets.token_urlsafe(32)}", id="random"),
    ],
)
def test_of_a_secret_without_a_checksum_nobody_can_tell(secret: str) -> None:
    assert is_genuine(DIGESTER, secret) is None


def test_two_secrets_are_never_the_same() -> None:
    assert len({made_secret(DIGESTER, "live") for _ in range(1000)}) == 1000


def strangers(clock: FakeClock) -> Strangers:
    return Strangers(clock, rate=2, burst=3, known=[KeyDigest("admin")])


async def try_to_look_up(bucket: Strangers, digest: str) -> None:
    async with bucket.turn(KeyDigest(digest)):
        pass


async def test_look_ups_of_strangers_come_out_of_a_bucket_that_fills_up(clock: FakeClock) -> None:
    bucket = strangers(clock)
    for number in range(3):
        await try_to_look_up(bucket, str(number))
    with pytest.raises(TooManyUnknownKeys) as refused:
        await try_to_look_up(bucket, "3")
    assert refused.value.retry_after == 0.5
    clock.advance(0.25)
    with pytest.raises(TooManyUnknownKeys) as refused:
        await try_to_look_up(bucket, "3")
    assert refused.value.retry_after == 0.25
    clock.advance(0.25)
    await try_to_look_up(bucket, "3")
    clock.advance(1000)
    for number in range(3):
        await try_to_look_up(bucket, str(number))
    with pytest.raises(TooManyUnknownKeys):
        await try_to_look_up(bucket, "3")


async def test_who_was_good_lately_and_who_is_known_go_past_the_bucket(clock: FakeClock) -> None:
    bucket = strangers(clock)
    for number in range(3):
        await try_to_look_up(bucket, str(number))
    bucket.found(KeyDigest("0"), is_good=True)
    for _ in range(10):
        await try_to_look_up(bucket, "0")
        await try_to_look_up(bucket, "admin")
    bucket.found(KeyDigest("0"), is_good=False)
    with pytest.raises(TooManyUnknownKeys):
        await try_to_look_up(bucket, "0")


async def test_a_few_strangers_at_a_time_are_looked_up(clock: FakeClock) -> None:
    bucket = Strangers(clock, rate=1, burst=100)
    at_once = most = 0

    async def look_up(digest: str) -> None:
        nonlocal at_once, most
        async with bucket.turn(KeyDigest(digest)):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(look_up(str(number)) for number in range(50)))
    assert (most, at_once) == (4, 0)


async def test_many_who_come_with_one_key_at_once_are_one_stranger(clock: FakeClock) -> None:
    bucket = strangers(clock)
    everybody_is_in = asyncio.Event()

    async def look_up() -> None:
        async with bucket.turn(KeyDigest("same")):
            await everybody_is_in.wait()

    waiting = [asyncio.create_task(look_up()) for _ in range(100)]
    await asyncio.sleep(0)
    everybody_is_in.set()
    await asyncio.gather(*waiting)
    await try_to_look_up(bucket, "1")
    await try_to_look_up(bucket, "2")
    with pytest.raises(TooManyUnknownKeys):
        await try_to_look_up(bucket, "3")


def test_of_those_who_were_good_a_bounded_number_is_remembered(clock: FakeClock) -> None:
    bucket = strangers(clock)
    for number in range(MOST_REMEMBERED + 50):
        bucket.found(KeyDigest(str(number)), is_good=True)
    assert len(bucket._welcome) == MOST_REMEMBERED
    assert KeyDigest("0") not in bucket._welcome


def principal(*models: str) -> Principal:
    return Principal(key_id=ApiKeyId("k"), account_id=AccountId(1), scopes=(), models=models)


@pytest.mark.parametrize(
    ("models", "asked"),
    [
        ((), "anything/at-all"),
        (("openai/gpt-4o",), "openai/gpt-4o"),
        (("openai/gpt-4o",), "OpenAI/GPT-4o"),
        (("OpenAI/*",), "openai/gpt-4o"),
        (("a/b", "openai/*"), "openai/gpt-4o:free"),
    ],
)
def test_a_key_may_use_the_models_of_its_list(models: tuple[str, ...], asked: str) -> None:
    authorize_model(principal(*models), asked)


@pytest.mark.parametrize(
    ("models", "asked"),
    [
        (("openai/gpt-4o",), "openai/gpt-4o-mini"),
        (("openai/gpt-4o",), "gpt-4o"),
        (("openai/*",), "openai"),
        (("openai/*",), "openai2/gpt-4o"),
        (("openai/*",), "x/openai/gpt-4o"),
    ],
)
def test_a_key_may_not_use_others(models: tuple[str, ...], asked: str) -> None:
    with pytest.raises(ModelNotAllowed, match=re.escape(asked)):
        authorize_model(principal(*models), asked)
