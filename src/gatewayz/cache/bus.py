"""How workers tell each other what died."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from gatewayz.cache.cascade import Target


class Bus(Protocol):
    """One channel to every worker. Messages are short JSON texts; a lost one must show as a lost
    subscription.
    """

    async def publish(self, payload: str) -> bool:
        """Send to all, this worker included. True once every worker that listens has applied it; False where
        the bus cannot tell. Raises BusDown if it was not sent.
        """
        ...

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        """Return once subscribed; from then on call `on_message` for each message, in order, until `on_lost`
        is called, once, at the first moment when a message may have been missed. Raises BusDown if it cannot
        subscribe.

        The cache calls `listen` again after `on_lost`.
        """
        ...

    async def close(self) -> None: ...


class Notice(Struct, frozen=True, tag="notice", rename={"sender": "from"}):
    """What died. `shapes` is the sender's schema fingerprint: it has told Redis only about keys under that one. `told`
    names the servers that it has told, "" where it cannot tell which they are. `floor`: how far a source that lags must
    have come.
    """

    sender: str
    shapes: str
    targets: list[Target]
    floor: int = 0
    told: str = ""


class RowsChanged(Struct, frozen=True, tag="changed"):
    """A transaction has changed rows that fill an entity: of these keys, or of any (None). Sent by its commit."""

    xact: str
    entity: str
    keys: list[str] | None


class RowsApplied(Struct, frozen=True, tag="applied"):
    """Redis knows what these transactions changed, and so do the workers that hear of it from there."""

    xacts: list[str]


class RowsMissed(Struct, frozen=True, tag="missed"):
    """Told by a bus to its own worker: news of commits may have been missed, which come over no other bus."""
