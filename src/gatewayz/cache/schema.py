"""Which shapes this build reads and writes, as a short text in every Redis key."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gatewayz.cache.entity import Entity

_REMARKS = frozenset({"title", "description"})


def fingerprint(entities: Iterable[Entity[Any, Any]]) -> str:
    """Twelve hex digits over the wire shape of every entity's value, so that no build reads another's shapes.

    Docstrings do not count; names, types, defaults and constraints do.
    """
    return fingerprint_of({entity.name: entity.value for entity in entities})


def fingerprint_of(values: Mapping[str, Any]) -> str:
    """The same over any named types, for what else is kept in Redis by one build and read by others."""
    shapes = {name: _shape(value) for name, value in values.items()}
    text = msgspec.json.encode(shapes, order="sorted")
    return hashlib.sha256(text).hexdigest()[:12]


def _shape(value: Any) -> Any:  # noqa: ANN401  any type that msgspec knows
    schemas, components = msgspec.json.schema_components([value])
    return [_bare(schema) for schema in (*schemas, components)]


def _bare(schema: Any) -> Any:  # noqa: ANN401  JSON
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: part for name, part in schema.items() if name not in _REMARKS or isinstance(part, dict)}
    return {name: _bare(part) for name, part in kept.items()}
