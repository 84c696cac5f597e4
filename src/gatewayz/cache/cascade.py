"""Who dies with whom, from the entities' declarations."""

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from gatewayz.cache.entity import ALL, Dependency, Entity, Every, written
from gatewayz.cache.errors import BadEntity
from gatewayz.cache.scope import kind_of, name_of_tag

AnyEntity: TypeAlias = Entity[Any, Any]


class Target(Struct, frozen=True):
    """One key of an entity, as text, or all that hangs on a scope (None): the whole entity, or a tag. `before`: only
    what was created before that Unix time; 0: all.
    """

    name: str
    text: str | None
    before: float = 0


class _Edge(Struct, frozen=True, eq=False):
    dependent: AnyEntity
    dependency: Dependency


class Cascade:
    """The dependency graph over `entities`. Raises BadEntity for a cycle or for a dependency that is not
    among them.
    """

    def __init__(self, entities: Iterable[AnyEntity]) -> None:
        self._entities = {entity.name: entity for entity in entities}
        self._edges: dict[str, list[_Edge]] = {name: [] for name in self._entities}
        for entity in self._entities.values():
            for declared in entity.hangs_on:
                dependency = declared if isinstance(declared, Dependency) else Dependency(declared)
                if self._entities.get(dependency.entity.name) is not dependency.entity:
                    raise BadEntity(
                        f"{entity.name!r} hangs on {dependency.entity.name!r}: give that to the cache too",
                    )
                self._edges[dependency.entity.name].append(_Edge(entity, dependency))
        self._depth = {name: self._depth_of(self._entities[name], ()) for name in self._entities}

    def levels(
        self, starts: Mapping[AnyEntity, Iterable[Hashable | Every]], tags: Collection[str] = ()
    ) -> list[list[Target]]:
        """All that dies, in waves: what hangs on something comes in a later wave than that. What hangs on an entity
        that may carry one of the `tags` dies whole.

        A loader may read other entities through the cache, so one may be loaded anew only once what it hangs
        on is gone everywhere.
        """
        keys: dict[str, set[Hashable | Every]] = {entity.name: set(keys) for entity, keys in starts.items()}
        waves: dict[int, list[Target]] = {}
        for tag in tags:
            waves.setdefault(-1, []).append(Target(name_of_tag(written(tag)), None))
            for name in self._carrying(tag):
                for edge in self._edges[name]:
                    keys.setdefault(edge.dependent.name, set()).add(ALL)
        for name in sorted(self._entities, key=self._depth.__getitem__):
            if dying := keys.get(name):
                waves.setdefault(self._depth[name], []).extend(_targets(self._entities[name], dying))
                for edge in self._edges[name]:
                    keys.setdefault(edge.dependent.name, set()).update(_carried(edge.dependency, dying))
        return [waves[depth] for depth in sorted(waves)]

    def _carrying(self, tag: str) -> list[str]:
        kind = kind_of(tag)
        return [name for name, entity in self._entities.items() if kind in entity.tags]

    def _depth_of(self, entity: AnyEntity, path: tuple[str, ...]) -> int:
        if entity.name in path:
            raise BadEntity(f"{' → '.join((*path, entity.name))!r} is a cycle: nothing can hang on itself")
        below = [item.entity if isinstance(item, Dependency) else item for item in entity.hangs_on]
        return 1 + max((self._depth_of(each, (*path, entity.name)) for each in below), default=-1)


def _carried(dependency: Dependency, dying: set[Hashable | Every]) -> set[Hashable | Every]:
    if dependency.key is None or ALL in dying:
        return {ALL}
    return {dependency.key(key) for key in dying}


def _targets(entity: AnyEntity, dying: set[Hashable | Every]) -> list[Target]:
    if ALL in dying:
        return [Target(entity.name, None)]
    return [Target(entity.name, written(entity.text(key))) for key in dying]
