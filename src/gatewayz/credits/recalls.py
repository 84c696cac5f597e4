"""Answers that were given again: for nobody's money, so they are written down in memory first, and together."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import asyncpg
import structlog
from msgspec import Struct
from msgspec.structs import asdict

from gatewayz.core.errors import Unavailable
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.journal import Journal
from gatewayz.credits.model import Charge
from gatewayz.storage.database import Database

log = structlog.get_logger("gatewayz.credits")

MOST_NOTED = 10_000
"""Recalls that wait in memory; those beyond go through the journal, as charges do."""

_INSERT = """
WITH kinds AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[])
    WITH ORDINALITY AS k (account_id, key_id, model, provider, native_id, cache_status, is_stream, kind)
), fresh AS (
    INSERT INTO charges (request_id, account_id, key_id, model, provider, native_id, prompt_tokens, completion_tokens,
                         cached_tokens, cost, charged, cache_status, is_stream, latency, ended_at)
    SELECT r.request_id, k.account_id, k.key_id, k.model, k.provider, k.native_id, 0, 0, 0, 0, 0, k.cache_status,
           k.is_stream, r.latency, to_timestamp(r.ended_at)
    FROM unnest($8::text[], $9::bigint[], $10::float8[], $11::float8[]) AS r (request_id, kind, ended_at, latency)
    JOIN kinds k USING (kind)
    WHERE EXISTS (SELECT FROM accounts a WHERE a.id = k.account_id)
    ORDER BY r.request_id
    ON CONFLICT DO NOTHING
    RETURNING account_id, (ended_at AT TIME ZONE 'UTC')::date AS day, key_id, model, provider, cache_status
)
INSERT INTO usage_by_day AS u (account_id, day, key_id, model, provider, requests, cache_hits, prompt_tokens,
                               completion_tokens, cached_tokens, cost, charged)
SELECT account_id, day, key_id, model, provider, count(*), count(*) FILTER (WHERE cache_status = 'hit'), 0, 0, 0, 0, 0
FROM fresh GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (account_id, day, key_id, model, provider) DO UPDATE SET
    requests = u.requests + excluded.requests, cache_hits = u.cache_hits + excluded.cache_hits
"""


class Recall(Struct, frozen=True):
    """What many recalls have in common: who was answered, and who had given the answer first."""

    account_id: AccountId
    key_id: ApiKeyId
    model: str
    provider: str
    native_id: str
    cache_status: str
    is_stream: bool


Times = tuple[str, float, float]
"""The id of a request, when it ended, and how many seconds it took."""


class Recalls:
    """`note` is for requests, `follow` for the background. A worker that is killed forgets what it noted in the last
    `settle_every` seconds; what cannot be written into the database goes into the journal instead.
    """

    def __init__(self, database: Database, journal: Journal, config: CreditsConfig) -> None:
        self._database = database
        self._journal = journal
        self._config = config
        self._noted: dict[Recall, list[Times]] = {}
        self._count = 0
        self._has_some = asyncio.Event()

    def note(self, recall: Recall, request_id: str, ended_at: float, latency: float) -> None:
        if self._count >= MOST_NOTED:
            self._journal_them({recall: [(request_id, ended_at, latency)]})
            return
        times = self._noted.get(recall)
        if times is None:
            times = self._noted[recall] = []
        times.append((request_id, ended_at, latency))
        self._count += 1
        if self._count == 1:
            self._has_some.set()

    async def follow(self) -> None:
        """Write down what is noted, for ever."""
        while True:
            await self._has_some.wait()
            await asyncio.sleep(self._config.settle_every)
            await self.settle()

    async def settle(self) -> None:
        """Write down what is noted now."""
        noted, self._noted, self._count = self._noted, {}, 0
        self._has_some.clear()
        for part in _parts(noted, self._config.settle_most):
            try:
                await self._database.execute(_INSERT, *_columns(part))
            except (Unavailable, asyncpg.PostgresError) as error:
                log.warning("recalls_journaled", count=sum(map(len, part.values())), reason=str(error))
                self._journal_them(part)

    def _journal_them(self, noted: Mapping[Recall, Sequence[Times]]) -> None:
        """They are settled as charges are, by and by. Where even that is full they are told to the log."""
        try:
            for charge in _charges(noted):
                self._journal.write(charge)
        except Unavailable as error:
            log.warning("recalls_not_written", reason=error.message)


def _parts(noted: Mapping[Recall, Sequence[Times]], most: int) -> Iterator[dict[Recall, Sequence[Times]]]:
    """The same, at most so many at a time."""
    part: dict[Recall, Sequence[Times]] = {}
    room = most
    for recall, times in noted.items():
        start = 0
        while start < len(times):
            part[recall] = times[start : start + room]
            start += room
            room -= len(part[recall])
            if room == 0:
                yield part
                part, room = {}, most
    if part:
        yield part


def _columns(noted: Mapping[Recall, Sequence[Times]]) -> list[list[object]]:
    kinds: list[list[object]] = [[getattr(recall, name) for recall in noted] for name in Recall.__struct_fields__]
    rows = [(kind, *each) for kind, times in enumerate(noted.values(), 1) for each in times]
    return [
        *kinds,
        [request_id for _, request_id, _, _ in rows],
        [kind for kind, _, _, _ in rows],
        [ended_at for _, _, ended_at, _ in rows],
        [latency for _, _, _, latency in rows],
    ]


def _charges(noted: Mapping[Recall, Sequence[Times]]) -> Iterator[Charge]:
    for recall, times in noted.items():
        for request_id, ended_at, latency in times:
            yield Charge(request_id=request_id, ended_at=ended_at, latency=latency, **asdict(recall))
