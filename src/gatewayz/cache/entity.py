"""What a cached thing is: declared once, beside the SQL that loads it, and read by everything else."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import ContextVar
from enum import Enum
from typing import Any, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from gatewayz.cache.errors import BadKey
from gatewayz.cache.tables import Table

K = TypeVar("K", bound=Hashable)
V_co = TypeVar("V_co", covariant=True)

Single: TypeAlias = tuple[()]
"""The key of an entity that has one value only."""


class Every(Enum):
    """Stands where a key stands, for all keys of an entity."""

    KEY = "*"


ALL: Final = Every.KEY


class NotModified(Enum):
    """A loader's answer: the value whose `known_version()` it was shown still holds."""

    NOT_MODIFIED = "not modified"


NOT_MODIFIED: Final = NotModified.NOT_MODIFIED

_required: ContextVar[int] = ContextVar("required_position", default=0)


def required_position() -> int:
    """Inside a loader: how far the source must have come, because an invalidation said so; 0 where it does not matter.

    Only sources that may lag need it: read one that is so far, and say so by `Loaded.position`.
    """
    return _required.get()


def show_required(position: int) -> None:
    """Set what `required_position` answers in the current context."""
    _required.set(position)


_version_at_hand: ContextVar[str | None] = ContextVar("version_at_hand", default=None)


def known_version() -> str | None:
    """Inside a loader: the version of the value that the cache still holds, for a conditional request.

    None where nothing is held, and in batch loads: then `NOT_MODIFIED` is an error.
    """
    return _version_at_hand.get()


def show_version(version: str | None) -> None:
    """Set what `known_version` answers in the current context."""
    _version_at_hand.set(version)


class Policy(Struct, frozen=True, kw_only=True):
    """How long a value is good for, in seconds. Real lives differ by up to a tenth either way.

    `fresh`: served without question. `stale`: kept beyond that, served while a new one is loaded and when
    loading fails, but never after an invalidation. `absent`: how long "there is none" is remembered.
    `refresh_at`: a read later than this loads a new value in the background, and so does the fleet without a read; by
    default a read does so at 0.8 of `fresh`. A value that is costly to load is renewed a little earlier, by chance.
    `l1_max`: a worker asks Redis again after this long. `load_within`: a load may take so long, then it has failed.
    """

    fresh: float
    stale: float = 0
    absent: float = 10
    refresh_at: float | None = None
    l1_max: float = 60
    load_within: float = 30


class Loaded(Struct, Generic[V_co], frozen=True, kw_only=True):
    """A loader's answer that says more than the value. `ttl` replaces the policy's `fresh` for this value.

    `version` comes back as `known_version()`. `tags`, each `kind:name` of a kind that the entity declares, are by what
    the value can be invalidated beside its key. `position`: how far the source had come when it was read, in the unit
    of the floors that invalidations name; None for a source that does not lag.
    """

    value: V_co | None
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    version: str | None = None
    position: int | None = None


Loader: TypeAlias = Callable[[Any, K], Awaitable[V_co | Loaded[V_co] | NotModified | None]]
BatchLoader: TypeAlias = Callable[[Any, Sequence[K]], Awaitable[Mapping[K, V_co | Loaded[V_co] | Exception]]]


class Entity(Struct, Generic[K, V_co], frozen=True, kw_only=True, eq=False):
    """A kind of cached thing. Two declarations are never equal: an entity is itself.

    `load(source, key)` is a plain coroutine function; `source` is what the composition root gave the cache for it.
    None means "there is none". `load_many(source, keys)` serves `get_many` in one go; a key missing from its
    answer is absent, and one with an exception has failed alone.
    `value` must be something msgspec can encode, and frozen with all its parts: all callers share one object.
    `key_text` must map different keys to different texts. `large` values are kept decoded in every worker,
    outside the bounds of its memory tier, and are encoded and decoded beside the event loop.
    `tags`: the kinds of tags that values may carry, `account` for `account:42`. Nothing secret may stand in a tag.
    `filled_from`: a change in these tables, whoever makes it, invalidates the keys it concerns, which must be texts.
    `is_moving`: its source seldom says the same twice, so that comparing what is kept with it tells nothing.
    `is_secret`: its values are not for who administers the cache: they hold secrets, or what others said in confidence.
    `is_given`: nobody can load it by its key alone. What comes up elsewhere is put there by `Cache.keeping` and read by
    `Cache.find`; or who asks `Cache.get_many` brings what loads. It is never refreshed by itself.
    """

    name: str
    value: type[V_co]
    policy: Policy
    load: Loader[K, V_co] | None = None
    load_many: BatchLoader[K, V_co] | None = None
    hangs_on: "tuple[Entity[Any, Any] | Dependency, ...]" = ()
    tags: tuple[str, ...] = ()
    filled_from: tuple[Table, ...] = ()
    key_text: Callable[[K], str] = str
    large: bool = False
    is_moving: bool = False
    is_secret: bool = False
    is_given: bool = False

    def text(self, key: K) -> str:
        """The key as it stands in Redis and on the bus; empty for the key `()`."""
        return self.key_text(key) if key != () else ""


def written(text: str) -> str:
    """The same text. Raises BadKey for half of a surrogate pair, which has no UTF-8: neither Redis nor another worker
    could be told of it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadKey(f"{text!r} holds half of a surrogate pair: name keys, tags and versions by whole text") from None
    return text


class Dependency(Struct, frozen=True, eq=False):
    """On what an entity hangs. `key` gives the key that dies with a key of `entity`; without it every key
    dies.
    """

    entity: Entity[Any, Any]
    key: Callable[[Any], Hashable] | None = None


def same_key(entity: Entity[Any, Any]) -> Dependency:
    """A dependency on the one value of `entity` that has the same key."""
    return Dependency(entity, lambda key: key)
