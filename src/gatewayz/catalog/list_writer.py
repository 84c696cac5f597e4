"""The writes of a sync: one provider's list, in the caller's transaction, only the rows that changed."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

import msgspec
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.catalog.identity import Identity
from gatewayz.catalog.model import Offer
from gatewayz.catalog.sanity import Median

_SCALARS = (
    "native_id",
    "name",
    "created",
    "description",
    "context_length",
    "max_output_tokens",
    "input_modalities",
    "output_modalities",
    "tokenizer",
    "supported_parameters",
    "is_free",
)
_CAPABILITIES = ("tools", "vision", "streaming", "json", "reasoning", "prompt_caching")
_PRICES = ("prompt", "completion", "input_cache_read", "input_cache_write", "image", "request")
_MODEL_COLUMNS = ("public_id", *_SCALARS, *_CAPABILITIES, "content_hash")

_STAGE = f"""
CREATE TEMP TABLE listed ON COMMIT DROP AS
SELECT {", ".join(f"m.{column}" for column in _MODEL_COLUMNS)},
       {", ".join(f"p.{column}" for column in _PRICES)}, u.id AS unique_id, u.name AS unique_name
FROM models m, pricing p, unique_models u WHERE false
"""  # noqa: S608  column names are the constants above
_UPSERT_MODELS = f"""
INSERT INTO models (provider, {", ".join(_MODEL_COLUMNS)})
SELECT $1, {", ".join(_MODEL_COLUMNS)} FROM listed
ON CONFLICT (provider, native_id) DO UPDATE
SET {", ".join(f"{column} = excluded.{column}" for column in _MODEL_COLUMNS)},
    is_active = true, missing_count = 0, updated_at = now()
"""  # noqa: S608  column names are the constants above
_UPSERT_PRICING = f"""
INSERT INTO pricing (model_id, {", ".join(_PRICES)})
SELECT m.id, {", ".join(f"l.{column}" for column in _PRICES)}
FROM listed l JOIN models m ON m.provider = $1 AND m.native_id = l.native_id
ON CONFLICT (model_id) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in _PRICES)}
"""  # noqa: S608  column names are the constants above
_INSERT_UNIQUE = """
INSERT INTO unique_models (id, name)
SELECT DISTINCT ON (unique_id) unique_id, unique_name FROM listed ORDER BY unique_id, unique_name
ON CONFLICT DO NOTHING
"""
_RELATE = """
INSERT INTO unique_model_offers (model_id, unique_model_id)
SELECT m.id, l.unique_id FROM listed l JOIN models m ON m.provider = $1 AND m.native_id = l.native_id
ON CONFLICT (model_id) DO UPDATE SET unique_model_id = excluded.unique_model_id
WHERE unique_model_offers.unique_model_id <> excluded.unique_model_id
"""
_COUNT_MISSING = """
UPDATE models SET missing_count = missing_count + 1, is_active = missing_count + 1 < $3, updated_at = now()
WHERE provider = $1 AND native_id = ANY($2)
"""
_MEDIANS = """
SELECT o.unique_model_id AS id,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY p.prompt) FILTER (WHERE p.prompt > 0) AS prompt,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY p.completion) FILTER (WHERE p.completion > 0) AS completion
FROM unique_model_offers o
JOIN models m ON m.id = o.model_id
JOIN pricing p ON p.model_id = m.id
WHERE m.provider <> $1 AND m.is_active
GROUP BY o.unique_model_id
HAVING count(DISTINCT m.provider) FILTER (WHERE p.prompt > 0 OR p.completion > 0) >= 2
"""


class Known(Struct, frozen=True):
    """What the database holds of one offer."""

    content_hash: bytes
    is_active: bool
    missing_count: int

    def is_as(self, content_hash: bytes) -> bool:
        return self.content_hash == content_hash and self.is_active and not self.missing_count


class ListRow(Struct, frozen=True):
    """One offer of a list, ready to be written."""

    offer: Offer
    identity: Identity
    content_hash: bytes


class Change(Struct, frozen=True):
    """What an accepted list changes: rows to write, and active rows that it lacks, some now for the last time."""

    written: Collection[ListRow]
    missing: Collection[str]
    given_up: Collection[str]

    @property
    def is_visible(self) -> bool:
        """Whether anybody who reads the catalog can tell. A row that is missing for the first time looks as before."""
        return bool(self.written or self.given_up)


def content_hash(offer: Offer) -> bytes:
    return blake2b(msgspec.msgpack.encode(offer), digest_size=16).digest()


def difference(known: Mapping[str, Known], listed: Mapping[str, ListRow], missing_limit: int) -> Change:
    """Both by native id. A row that `missing_limit` accepted lists in a row lacked becomes inactive."""
    missing = {key: row for key, row in known.items() if row.is_active and key not in listed}
    return Change(
        written=[row for key, row in listed.items() if key not in known or not known[key].is_as(row.content_hash)],
        missing=list(missing),
        given_up=[key for key, row in missing.items() if row.missing_count + 1 >= missing_limit],
    )


async def lock_provider(connection: PoolConnectionProxy, slug: str) -> str | None:
    """Serialise syncs of one provider until the transaction ends. Returns where its rows come from, None if new."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('catalog:' || $1))", slug)
    source: str | None = await connection.fetchval("SELECT source FROM providers WHERE slug = $1", slug)
    return source


async def read_known(connection: PoolConnectionProxy, slug: str) -> dict[str, Known]:
    rows = await connection.fetch(
        "SELECT native_id, content_hash, is_active, missing_count FROM models WHERE provider = $1", slug
    )
    return {row["native_id"]: Known(row["content_hash"], row["is_active"], row["missing_count"]) for row in rows}


async def read_medians(connection: PoolConnectionProxy, other_than: str) -> dict[str, Median]:
    """Median known prices per unique model over all providers but one, where at least two sell it."""
    rows = await connection.fetch(_MEDIANS, other_than)
    return {row["id"]: Median(row["prompt"], row["completion"]) for row in rows}


async def write_provider(connection: PoolConnectionProxy, slug: str, name: str, source: str) -> None:
    await connection.execute(
        "INSERT INTO providers (slug, name, source) VALUES ($1, $2, $3) ON CONFLICT (slug) DO UPDATE "
        "SET name = excluded.name, source = excluded.source, changed_at = now()",
        slug,
        name,
        source,
    )


async def write_offers(connection: PoolConnectionProxy, slug: str, rows: Iterable[ListRow]) -> None:
    """Insert or replace these offers with their prices and identities, and make them active."""
    await connection.execute(_STAGE)
    await connection.copy_records_to_table("listed", records=[_record(row) for row in rows])
    await connection.execute("ANALYZE listed")
    await connection.execute(_UPSERT_MODELS, slug)
    await connection.execute(_UPSERT_PRICING, slug)
    await connection.execute(_INSERT_UNIQUE)
    await connection.execute(_RELATE, slug)


async def count_missing(connection: PoolConnectionProxy, slug: str, native_ids: Collection[str], limit: int) -> None:
    """One more accepted list lacked these; at `limit` they become inactive."""
    if native_ids:
        await connection.execute(_COUNT_MISSING, slug, list(native_ids), limit)


def _record(row: ListRow) -> tuple[object, ...]:
    offer, identity = row.offer, row.identity
    return (
        offer.id,
        *(getattr(offer, field) for field in _SCALARS),
        *(getattr(offer.capabilities, field) for field in _CAPABILITIES),
        row.content_hash,
        *(getattr(offer.pricing, field) for field in _PRICES),
        identity.id,
        identity.name,
    )
