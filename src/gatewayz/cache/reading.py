"""What the Redis tier is told and asked, as values."""

from enum import Enum
from typing import Any, Generic, TypeVar

from msgspec import Struct

from gatewayz.cache.codec import Envelope, Life
from gatewayz.cache.scope import Held

V = TypeVar("V")

ANY = b"*"
"""Stands where the stamp of a dead value stands: any value is to be replaced."""


class Question(Struct, frozen=True, gc=False):
    """Of one key. `stamp`: of the value at hand, which need not be sent again. `dead`: of a value that is to be
    replaced (ANY: whatever there is). `lease`: the token of the lease on the load, to be had where there is no value.
    `awaited`: the token of the load that was waited for.
    """

    text: str
    stamp: bytes = b""
    dead: bytes = b""
    lease: bytes = b""
    awaited: bytes = b""


class Reading(Struct, Generic[V], gc=False):
    """What Redis says of one key: generations, for the fill that may follow, and the value, if there is an `envelope`:
    then `value` is set once it is decoded, and nothing else ever is.

    `same`: the value is the one whose stamp was shown,
    and was not sent again. `order`: how many changes this worker had been told of when the reply came. `whole` and
    `tags`: how the entity's scope and its tags' were known. Without a value: `lease` is the token of the one worker
    that may load now, which is us; `busy` the seconds for which another one, `holder`, may; `failed` why the load that
    was waited for failed; `since` the server's microseconds; `floor` how far the source must have come.
    """

    order: int
    generation: bytes
    whole: Held
    stamp: bytes = b""
    envelope: Envelope | None = None
    tags: tuple[Held, ...] = ()
    value: V | None = None
    same: bool = False
    lease: bytes = b""
    busy: float = 0
    holder: bytes = b""
    failed: str = ""
    since: int = 0
    floor: int = 0

    @property
    def has_value(self) -> bool:
        return self.same or self.envelope is not None

    @property
    def life(self) -> Life | None:
        return self.envelope.life if self.envelope is not None else None


class Later(Enum):
    """Stands where a reading stands that takes more than one reply: ask by `read`."""

    READING = "later"


class Fill(Struct, frozen=True, kw_only=True):
    """`over`: replace whatever stands there, as long as no invalidation came between. `position`: how far the source
    had come, where it said so.
    """

    text: str
    reading: Reading[Any]
    life: Life
    position: int | None
    payload: bytes | None
    zipped: bool
    over: bool


class Filled(Struct, frozen=True):
    """`stamp`: the new one where the value may be served, b"" where an invalidation refused it, None if unknown.
    `order` and `tags` as in a reading. `floor`: how far the source must have come for these tags.
    """

    stamp: bytes | None
    order: int
    tags: tuple[Held, ...] = ()
    floor: int = 0
