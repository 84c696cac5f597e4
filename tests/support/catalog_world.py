"""Small catalogs by hand."""

from collections import defaultdict
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from gatewayz.catalog.model import (
    Catalog,
    CatalogStats,
    Offer,
    Pricing,
    ProviderRecord,
    UniqueModel,
    UniqueModels,
)
from gatewayz.catalog.snapshot import Snapshot

NO_STATS = CatalogStats(total_models=0, total_providers=0, total_unique_models=0, by_modality=(), priced=0, free=0)


def offer(
    public_id: str,
    provider: str = "p",
    *,
    prompt: str | None = None,
    completion: str | None = None,
    **fields: Any,  # noqa: ANN401  any field of an offer
) -> Offer:
    pricing = Pricing(
        prompt=None if prompt is None else Decimal(prompt),
        completion=None if completion is None else Decimal(completion),
    )
    names = {"native_id": public_id, "unique_id": public_id, "name": public_id} | fields
    return Offer(id=public_id, provider=provider, pricing=pricing, **names)


def catalog_of(*offers: Offer) -> Catalog:
    """In the order that the database gives."""
    in_order = tuple(sorted(offers, key=lambda each: (each.id, each.provider, each.native_id)))
    slugs = sorted({each.provider for each in offers})
    records = tuple(ProviderRecord(slug=slug, name=slug.title()) for slug in slugs)
    return Catalog(providers=records, offers=in_order, version=_version(in_order))


def uniques_of(*offers: Offer) -> UniqueModels:
    groups: defaultdict[str, list[Offer]] = defaultdict(list)
    for each in offers:
        groups[each.unique_id].append(each)
    models = tuple(
        UniqueModel(id=name, name=name, offers=tuple(sorted((each.provider, each.native_id) for each in group)))
        for name, group in sorted(groups.items())
    )
    return UniqueModels(models=models, version=_version(models))


def snapshot_of(*offers: Offer) -> Snapshot:
    return Snapshot(catalog_of(*offers), uniques_of(*offers), NO_STATS)


def _version(content: object) -> str:
    return blake2b(msgspec.msgpack.encode(content), digest_size=16).hexdigest()
