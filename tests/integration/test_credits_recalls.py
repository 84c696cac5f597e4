"""Answers that were given again, from memory into the database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.credits_world import CreditsWorld, credits_world

from gatewayz.core.errors import Unavailable
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.credits.journal import Journal
from gatewayz.credits.recalls import MOST_NOTED, Recall, Recalls
from gatewayz.credits.settler import Settler
from gatewayz.storage.database import Database


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[CreditsWorld]:
    async with credits_world(migrated_database_url, settle_every=0.01, settle_most=4) as world:
        yield world


class Away(Database):
    def __init__(self) -> None:
        pass

    async def execute(self, _sql: str, *_arguments: object) -> None:
        raise Unavailable("the database does not answer")


def recall_of(account: AccountId, key: ApiKeyId, *, model: str = "a/m", status: str = "hit") -> Recall:
    return Recall(account, key, model, "a", "m", status, is_stream=False)


async def rows(world: CreditsWorld) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for row in await world.database.fetch(
            "SELECT request_id, account_id, key_id, model, provider, native_id, cost, cache_status, latency, "
            "extract(epoch FROM ended_at)::float8 FROM charges ORDER BY request_id"
        )
    ]


async def usage(world: CreditsWorld) -> list[tuple[object, ...]]:
    sql = "SELECT model, requests, cache_hits, cost FROM usage_by_day ORDER BY model"
    return [tuple(row) for row in await world.database.fetch(sql)]


async def test_what_is_noted_is_written_down_with_its_usage(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account()
    key = await world.key(account)
    recalls = Recalls(world.database, Journal(tmp_path), world.config)
    for number in range(6):
        recalls.note(recall_of(account, key), f"gen_{number}", 1000.0 + number, 0.25)
    recalls.note(recall_of(account, key, model="b/m", status="collapsed"), "gen_6", 1006.0, 0.0)
    await recalls.settle()
    assert await rows(world) == [
        *[(f"gen_{n}", account, key, "a/m", "a", "m", 0, "hit", 0.25, 1000.0 + n) for n in range(6)],
        ("gen_6", account, key, "b/m", "a", "m", 0, "collapsed", 0.0, 1006.0),
    ]
    assert await usage(world) == [("a/m", 6, 6, 0), ("b/m", 1, 0, 0)]
    await recalls.settle()
    assert len(await rows(world)) == 7


async def test_the_same_request_counts_once(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account()
    recall = recall_of(account, await world.key(account))
    recalls = Recalls(world.database, Journal(tmp_path), world.config)
    for _ in range(2):
        recalls.note(recall, "gen_1", 1000.0, 0.0)
        await recalls.settle()
    assert len(await rows(world)) == 1
    assert await usage(world) == [("a/m", 1, 1, 0)]


async def test_those_of_an_account_that_is_gone_keep_back_no_others(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account()
    recalls = Recalls(world.database, Journal(tmp_path), world.config)
    recalls.note(recall_of(AccountId(999_999), ApiKeyId("k")), "gen_1", 1000.0, 0.0)
    recalls.note(recall_of(account, ApiKeyId("k")), "gen_2", 1000.0, 0.0)
    await recalls.settle()
    assert [row[0] for row in await rows(world)] == ["gen_2"]


async def test_with_the_database_away_they_go_into_the_journal_and_from_there_on_once(
    world: CreditsWorld, tmp_path: Path
) -> None:
    account = await world.account()
    recall, journal = recall_of(account, await world.key(account)), Journal(tmp_path)
    recalls = Recalls(Away(), journal, world.config)
    for number in range(10):
        recalls.note(recall, f"gen_{number}", 1000.0, 0.0)
    await recalls.settle()
    assert journal.unsettled_bytes > 0
    await Settler(tmp_path, world.settlement, world.config).drain(journal)
    assert len(await rows(world)) == 10
    assert await usage(world) == [("a/m", 10, 10, 0)]
    assert await world.drifts() == []


async def test_memory_holds_a_bounded_number_and_the_journal_the_rest(world: CreditsWorld, tmp_path: Path) -> None:
    account = await world.account()
    recall, journal = recall_of(account, await world.key(account)), Journal(tmp_path)
    recalls = Recalls(world.database, journal, world.config)
    for number in range(MOST_NOTED):
        recalls.note(recall, f"gen_{number}", 1000.0, 0.0)
    assert journal.unsettled_bytes == 0
    recalls.note(recall, "gen_more", 1000.0, 0.0)
    assert [charge.request_id for charge in journal.read(10).charges] == ["gen_more"]
