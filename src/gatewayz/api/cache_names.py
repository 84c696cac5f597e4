"""What people may call in the cache: entities and their families by other names too, but never a key of their own."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gatewayz.accounts.secret import holds_secret
from gatewayz.cache.entity import Entity
from gatewayz.catalog.repository import CATALOG, PROVIDER_CATALOG, STATS, UNIQUE_MODELS

LIKE_A_KEY = (
    "looks like an API key, which belongs in no request but as its Authorization; `gatewayz keys list` has the key's "
    "id, by which it is changed or revoked and forgotten at once; 'auth:key' clears what is kept of all keys"
)


def no_secret(text: str) -> str:
    """The text. Raises ValueError, which does not repeat it, where it may hold an API key, and where it would break a
    line of the audit log.
    """
    if holds_secret(text):
        raise ValueError(LIKE_A_KEY)
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(no_secret)]

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
