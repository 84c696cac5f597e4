"""Whether values of a type can be changed: all callers share one object, so none may."""

from collections.abc import Iterator

from msgspec import inspect

_MUTABLE = (inspect.ListType, inspect.SetType, inspect.DictType, inspect.ByteArrayType, inspect.TypedDictType)
_PARTS = (inspect.StructType, inspect.DataclassType, inspect.NamedTupleType)


def mutable_parts(value: type) -> list[str]:
    """What in the type can be changed after it was made, each named by where it stands."""
    return list(_mutable(inspect.type_info(value), "the value", set()))


def _mutable(kind: inspect.Type, where: str, seen: set[type]) -> Iterator[str]:
    if isinstance(kind, inspect.AnyType):
        yield f"{where} may be anything"
    elif isinstance(kind, _MUTABLE):
        yield f"{where} is a {type(kind).__name__.removesuffix('Type').lower()}"
    elif isinstance(kind, _PARTS):
        if kind.cls in seen:
            return
        seen.add(kind.cls)
        if not _is_frozen(kind):
            yield f"{kind.cls.__name__} is not frozen"
        for field in kind.fields:
            yield from _mutable(field.type, f"{kind.cls.__name__}.{field.name}", seen)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _mutable(each, where, seen)
    else:
        for item in _items(kind):
            yield from _mutable(item, f"an item of {where}", seen)


def _items(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(kind, inspect.VarTupleType | inspect.FrozenSetType):
        return (kind.item_type,)
    return kind.item_types if isinstance(kind, inspect.TupleType) else ()


def _is_frozen(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.StructType):
        return kind.cls.__struct_config__.frozen
    if isinstance(kind, inspect.DataclassType):
        return bool(getattr(kind.cls, "__dataclass_params__").frozen)  # noqa: B009  no stub knows it
    return isinstance(kind, inspect.NamedTupleType)
