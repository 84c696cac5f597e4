"""What many entries hang on together: the whole of an entity, or a tag."""

import re
from collections.abc import Iterable, Iterator
from weakref import WeakValueDictionary

from msgspec import Struct

_STATE = re.compile(rb"(\d+)\|(\d+)\|(\d+(?:\.\d+)?)")
_TAG = "#tag:"


class Held(Struct, frozen=True):
    """What Redis said of a scope in one of its epochs: entries of another `generation`, or created before `cutoff`
    (Unix seconds), are dead; loads from a source that is behind `floor` are too old.
    """

    scope: "Scope"
    epoch: int
    generation: bytes
    floor: int = 0
    cutoff: float = 0


class Scope:
    """`epoch` counts the news that it has changed; what was learned in an earlier epoch holds no longer. `held` is what
    Redis said, as long as it would tell us of a change, and None before it was asked.
    """

    __slots__ = ("__weakref__", "epoch", "held", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0
        self.held: Held | None = None

    def bump(self) -> None:
        self.epoch += 1
        self.held = None


def hold(held: Iterable[Held]) -> bool:
    """Whether nothing was heard of these tags since."""
    for each in held:  # noqa: SIM110  a generator costs more than most entries have tags
        if each.epoch != each.scope.epoch:
            return False
    return True


class Scopes:
    """All scopes of a worker. Those of entities stay; a tag's goes with the last entry, read or load that knows it."""

    def __init__(self, entities: Iterable[str]) -> None:
        self._entities = {name: Scope(name) for name in entities}
        self._tags: WeakValueDictionary[str, Scope] = WeakValueDictionary()

    def entity(self, name: str) -> Scope:
        return self._entities[name]

    def tag(self, tag: str) -> Scope:
        name = name_of_tag(tag)
        scope = self._tags.get(name)
        if scope is None:
            scope = self._tags[name] = Scope(name)
        return scope

    def known_tag(self, tag: str) -> Held | None:
        """What is known of a tag without asking."""
        return self.tag(tag).held

    def bump(self, name: str) -> None:
        """A scope of this name has changed, if there is one."""
        scope = self._entities.get(name) or self._tags.get(name)
        if scope is not None:
            scope.bump()

    def bump_all(self) -> None:
        for scope in self._all():
            scope.bump()

    def _all(self) -> Iterator[Scope]:
        yield from self._entities.values()
        yield from list(self._tags.values())


def name_of_tag(tag: str) -> str:
    """The name of a tag's scope, which is no entity's."""
    return _TAG + tag


def kind_of(tag: str) -> str:
    """What stands before the first colon: `account` of `account:42`."""
    return tag.partition(":")[0]


def tag_of(name: str) -> str | None:
    """The tag, if the name is one of a tag's scope."""
    return name.removeprefix(_TAG) if name.startswith(_TAG) else None


def told_of(scope: Scope, epoch: int, raw: object) -> Held | None:
    """What a scope's value in Redis says, which was asked for in `epoch`; None for rubbish."""
    match = _STATE.fullmatch(raw) if isinstance(raw, bytes) else None
    return Held(scope, epoch, match[1], int(match[2]), float(match[3])) if match else None
