"""What the catalog reads, each as a cached entity. Loaders take the database and a key."""

import asyncio
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec
from asyncpg import Record

from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.tables import Hop, Table
from gatewayz.catalog.model import (
    Capabilities,
    Catalog,
    CatalogStats,
    Offer,
    Pricing,
    ProviderCatalog,
    ProviderRecord,
    UniqueModel,
    UniqueModels,
)
from gatewayz.storage.database import Database

MINUTE = 60.0
DAY = 86_400.0

_PRICES = Pricing.__struct_fields__
_CAPABILITIES = Capabilities.__struct_fields__

_OFFERS = f"""
SELECT m.public_id, m.provider, m.native_id, o.unique_model_id, m.name, m.created, m.description,
       m.context_length, m.max_output_tokens, m.input_modalities, m.output_modalities, m.tokenizer,
       m.supported_parameters, m.is_free, m.is_active,
       {", ".join(f"m.{name}" for name in _CAPABILITIES)}, {", ".join(f"p.{name}" for name in _PRICES)}
FROM models m
JOIN pricing p ON p.model_id = m.id
JOIN unique_model_offers o ON o.model_id = m.id
"""  # noqa: S608  column names are the fields of our own types
_SAME_MODEL = """
o.unique_model_id IN (
    SELECT $1 UNION
    SELECT named.unique_model_id FROM models n JOIN unique_model_offers named ON named.model_id = n.id
    WHERE n.is_active AND (n.public_id = $1 OR lower(n.native_id) = $1)
)
"""
_IN_ORDER = 'ORDER BY m.public_id COLLATE "C", m.provider COLLATE "C", m.native_id COLLATE "C"'

_PROVIDERS = "SELECT slug, name, extract(epoch FROM changed_at)::float8 AS changed_at FROM providers"
_UNIQUE = """
SELECT u.id, u.name, array_agg(m.provider ORDER BY m.provider, m.native_id) AS providers,
       array_agg(m.native_id ORDER BY m.provider, m.native_id) AS native_ids
FROM unique_models u
JOIN unique_model_offers o ON o.unique_model_id = u.id
JOIN models m ON m.id = o.model_id
GROUP BY u.id, u.name ORDER BY u.id COLLATE "C"
"""
_STATS = """
SELECT count(*) AS total_models, count(DISTINCT m.provider) AS total_providers,
       count(DISTINCT o.unique_model_id) AS total_unique_models,
       count(p.prompt) AS priced, count(*) FILTER (WHERE m.is_free) AS free
FROM models m JOIN pricing p ON p.model_id = m.id JOIN unique_model_offers o ON o.model_id = m.id
WHERE m.is_active
"""
_MODALITIES = """
SELECT modality, count(DISTINCT id) AS models
FROM models, unnest(input_modalities || output_modalities) AS modality
WHERE is_active GROUP BY modality ORDER BY modality
"""


async def load_catalog(database: Database, _key: tuple[()]) -> Catalog:
    async with database.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        providers = await connection.fetch(f'{_PROVIDERS} ORDER BY slug COLLATE "C"')
        offers = await connection.fetch(f"{_OFFERS} {_IN_ORDER}")
    # Thousands of rows take longer than a request should wait for the event loop.
    return await asyncio.to_thread(_catalog, providers, offers)


async def load_provider_catalog(database: Database, slug: str) -> ProviderCatalog | None:
    provider = await database.fetch_row(f"{_PROVIDERS} WHERE slug = $1", slug)
    if provider is None:
        return None
    rows = await database.fetch(f"{_OFFERS} WHERE m.provider = $1 {_IN_ORDER}", slug)
    return ProviderCatalog(provider=_provider(provider), offers=tuple(_offer(row) for row in rows))


async def load_model(database: Database, model_id: str) -> tuple[Offer, ...] | None:
    """Every active offer of the model that has this name, in lower case: unique id, public id or a provider's own.

    A name that one provider uses finds the same model at all who offer it, whatever they call it.
    """
    rows = await database.fetch(f"{_OFFERS} WHERE m.is_active AND {_SAME_MODEL} {_IN_ORDER}", model_id)
    return tuple(_offer(row) for row in rows) or None


async def load_pricing(database: Database, model_id: str) -> tuple[tuple[str, Pricing], ...] | None:
    """Providers of the model with this public or unique id, each with its prices."""
    offers = await load_model(database, model_id)
    return tuple((offer.provider, offer.pricing) for offer in offers) if offers else None


async def load_unique_models(database: Database, _key: tuple[()]) -> UniqueModels:
    return await asyncio.to_thread(_unique_models, await database.fetch(_UNIQUE))


async def load_stats(database: Database, _key: tuple[()]) -> CatalogStats:
    row = await database.fetch_row(_STATS)
    modalities = await database.fetch(_MODALITIES)
    return CatalogStats(**dict(row or {}), by_modality=tuple((m["modality"], m["models"]) for m in modalities))


_PROVIDER_OF_MODEL = Hop(table="models", match="id", take="provider")
_MODEL_OF_UNIQUE = Hop(table="unique_model_offers", match="unique_model_id", take="model_id")

PROVIDER_CATALOG: Entity[str, ProviderCatalog] = Entity(
    name="models:provider",
    value=ProviderCatalog,
    load=load_provider_catalog,
    policy=Policy(fresh=30 * MINUTE, stale=DAY),
    filled_from=(
        Table("providers", key="slug", ignoring=("source",)),
        Table("models", key="provider", ignoring=("missing_count", "content_hash", "updated_at")),
        Table("pricing", key="model_id", via=(_PROVIDER_OF_MODEL,)),
        Table("unique_model_offers", key="model_id", via=(_PROVIDER_OF_MODEL,)),
        Table("unique_models", key="id", via=(_MODEL_OF_UNIQUE, _PROVIDER_OF_MODEL)),
    ),
)
CATALOG: Entity[tuple[()], Catalog] = Entity(
    name="models:catalog:full",
    value=Catalog,
    load=load_catalog,
    policy=Policy(fresh=15 * MINUTE, stale=DAY, refresh_at=14 * MINUTE, l1_max=15 * MINUTE),
    hangs_on=(PROVIDER_CATALOG,),
    large=True,
)
UNIQUE_MODELS: Entity[tuple[()], UniqueModels] = Entity(
    name="models:unique",
    value=UniqueModels,
    load=load_unique_models,
    policy=Policy(fresh=30 * MINUTE, stale=DAY, l1_max=30 * MINUTE),
    hangs_on=(CATALOG,),
    large=True,
)
STATS: Entity[tuple[()], CatalogStats] = Entity(
    name="models:stats",
    value=CatalogStats,
    load=load_stats,
    policy=Policy(fresh=15 * MINUTE, stale=DAY),
    hangs_on=(CATALOG,),
)
MODEL: Entity[str, tuple[Offer, ...]] = Entity(
    name="models:model",
    value=tuple[Offer, ...],
    load=load_model,
    policy=Policy(fresh=60 * MINUTE, stale=DAY),
    hangs_on=(PROVIDER_CATALOG,),
)
PRICING: Entity[str, tuple[tuple[str, Pricing], ...]] = Entity(
    name="models:pricing",
    value=tuple[tuple[str, Pricing], ...],
    load=load_pricing,
    policy=Policy(fresh=60 * MINUTE, stale=DAY),
    hangs_on=(PROVIDER_CATALOG,),
)

ENTITIES = (PROVIDER_CATALOG, CATALOG, UNIQUE_MODELS, STATS, MODEL, PRICING)


def _version(content: object) -> str:
    return blake2b(msgspec.msgpack.encode(content), digest_size=16).hexdigest()


def _catalog(providers: Sequence[Record], offers: Sequence[Record]) -> Catalog:
    listed = tuple(_provider(row) for row in providers)
    offered = tuple(_offer(row) for row in offers)
    return Catalog(providers=listed, offers=offered, version=_version((listed, offered)))


def _unique_models(rows: Sequence[Record]) -> UniqueModels:
    models = tuple(
        UniqueModel(id=row["id"], name=row["name"], offers=tuple(zip(row["providers"], row["native_ids"], strict=True)))
        for row in rows
    )
    return UniqueModels(models=models, version=_version(models))


def _provider(row: Record) -> ProviderRecord:
    return ProviderRecord(slug=row["slug"], name=row["name"], changed_at=row["changed_at"])


def _offer(row: Record) -> Offer:
    return Offer(
        id=row["public_id"],
        provider=row["provider"],
        native_id=row["native_id"],
        unique_id=row["unique_model_id"],
        name=row["name"],
        created=row["created"],
        description=row["description"],
        context_length=row["context_length"],
        max_output_tokens=row["max_output_tokens"],
        input_modalities=_texts(row["input_modalities"]),
        output_modalities=_texts(row["output_modalities"]),
        tokenizer=row["tokenizer"],
        pricing=Pricing(**{name: row[name] for name in _PRICES}),
        supported_parameters=_texts(row["supported_parameters"]),
        capabilities=Capabilities(**{name: row[name] for name in _CAPABILITIES}),
        is_free=row["is_free"],
        is_active=row["is_active"],
    )


def _texts(column: Sequence[str] | Iterable[str]) -> tuple[str, ...]:
    return tuple(column)
