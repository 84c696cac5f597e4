"""Names by which people call cached entities and their families, beside the entities' own."""

from typing import Any

from gatewayz.cache.entity import Entity
from gatewayz.catalog.repository import CATALOG, PROVIDER_CATALOG, STATS, UNIQUE_MODELS

_ALSO_CALLED: dict[str, Entity[Any, Any]] = {
    "full_catalog": CATALOG,
    "provider_catalog": PROVIDER_CATALOG,
    "gateway_catalog": PROVIDER_CATALOG,
    "unique_models": UNIQUE_MODELS,
    "catalog_stats": STATS,
}
_FAMILIES = ("models", "auth", "db")


def entity_name(called: str) -> str:
    """The entity's own name; what is not another name for one is taken for its own."""
    known = _ALSO_CALLED.get(called)
    return called if known is None else known.name


def family_prefix(called: str) -> str | None:
    """How the names of a family's entities begin; None for what is not a family."""
    return f"{called}:" if called in _FAMILIES else None
