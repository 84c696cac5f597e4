"""An answer under way: made once, read by everybody who wants it from its beginning and then live.

Of the one event loop that it lives on. Nobody waits for a reader that is slow, only for the fastest: what the others
have still to read stays here until they have.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec import Struct

from gatewayz.core.errors import GatewayzError
from gatewayz.responses.answer import CachedAnswer
from gatewayz.responses.events import may_tell_usage, split_events, tells_usage_only
from gatewayz.responses.reasons import Reason

MOST_AHEAD = 256 * 1024
"""Bytes by which an answer may be ahead of its fastest reader before its maker waits."""


class Lost(Exception):
    """Who made the answer has gone, and nobody will end it."""


class TooLongToFollow(Exception):
    """Another worker makes it, and it has become longer than what can be shared."""


class Failed(Exception):
    """There is no answer. `is_shared`: whoever asked would have been told the same; else the fault is of the caller who
    caused it, and another should try.
    """

    def __init__(self, error: GatewayzError, *, is_shared: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.is_shared = is_shared


class Begun(Struct, frozen=True):
    """What is known of an answer when its first bytes are there. `admitted`: how its first caller was let in, where it
    is made in this worker; whoever made it knows its type.
    """

    provider: str
    content_type: str
    is_stream: bool
    admitted: object = None


class _Piece(Struct, frozen=True, gc=False):
    """`is_usage`: an event only for those who asked what was used."""

    data: bytes
    is_usage: bool


class Flight:
    """`most_bytes`: of an answer that latecomers can still join.

    `is_led`: it is made in this worker. `is_followed`: whether other workers read it, where they can. `entry`: the
    answer in the form in which it is kept, once it is complete and fit for that. `why_not`: else why not.
    """

    def __init__(self, on_abandoned: Callable[[], object], *, most_bytes: int) -> None:
        self._on_abandoned = on_abandoned
        self._most_bytes = most_bytes
        self._pieces: list[_Piece] = []
        self._first = 0
        self._positions: dict[object, int] = {}
        self._size = 0
        self._outcome: Exception | None = None
        self._is_complete = False
        self._changed = asyncio.Event()
        self.is_followed: Callable[[], Awaitable[bool]] | None = None
        self.begun: Begun | None = None
        self.is_led = False
        self.entry: CachedAnswer | None = None
        self.why_not: Reason | None = None
        self.is_closed = asyncio.Event()

    @property
    def is_ended(self) -> bool:
        return self._is_complete or self._outcome is not None

    @property
    def is_open(self) -> bool:
        """Whether who comes now can have all of it."""
        return self._first == 0 and self._size <= self._most_bytes and self._outcome is None

    @property
    def readers(self) -> int:
        return len(self._positions)

    def join(self) -> object:
        """A place from which to `read`, to be given up by `leave`."""
        place = object()
        self._positions[place] = 0
        return place

    def leave(self, place: object) -> None:
        """When the last one leaves before the end, `on_abandoned` is called."""
        self._positions.pop(place, None)
        self._notify()
        if not self._positions and not self.is_ended:
            self._on_abandoned()

    def begin(self, begun: Begun) -> None:
        self.begun = begun
        self._notify()

    async def append(self, chunk: bytes) -> None:
        """Of a stream whole events only. Waits where even the fastest reader is far behind."""
        assert self.begun is not None  # noqa: S101  a maker begins first
        if self.begun.is_stream and may_tell_usage(chunk):
            self._pieces += [_Piece(event, tells_usage_only(event)) for event in split_events(chunk)]
        else:
            self._pieces.append(_Piece(chunk, False))
        self._size += len(chunk)
        self._notify()
        if self._size > MOST_AHEAD:
            while self._positions and self._ahead() > MOST_AHEAD:
                await self._changed.wait()

    def complete(self, entry: CachedAnswer | None, why_not: Reason | None = None) -> None:
        """All is there."""
        self.entry = entry
        self.why_not = why_not
        self._is_complete = True
        self._notify()

    def fail(self, outcome: Failed | Lost | TooLongToFollow) -> None:
        self._outcome = outcome
        self._notify()

    def close(self) -> None:
        """Whatever was to be done with it is done."""
        self.is_closed.set()

    async def until_begun(self) -> Begun:
        """Raises Failed or Lost where there is nothing to read."""
        while self.begun is None or not (self._pieces or self._first or self.is_ended):
            if self._outcome is not None:
                raise _again(self._outcome)
            await self._changed.wait()
        if self._outcome is not None and not self._pieces and not self._first:
            raise _again(self._outcome)
        return self.begun

    async def read(self, place: object, *, shows_usage: bool) -> AsyncIterator[bytes]:
        """All pieces from the beginning, as they come. Raises Failed or Lost after the last one that there is."""
        while True:
            at = self._positions[place]
            if at < self._first + len(self._pieces):
                piece = self._pieces[at - self._first]
                self._moved(place, at + 1)
                if shows_usage or not piece.is_usage:
                    yield piece.data
            elif self._outcome is not None:
                raise _again(self._outcome)
            elif self._is_complete:
                return
            else:
                await self._changed.wait()

    async def until_complete(self) -> bytes:
        """All that was answered. Raises Failed or Lost. For answers that are `is_open` to the end."""
        while not self.is_ended:
            await self._changed.wait()
        if self._outcome is not None:
            raise _again(self._outcome)
        return self.all_bytes()

    def all_bytes(self) -> bytes:
        return b"".join([piece.data for piece in self._pieces])

    def _moved(self, place: object, to: int) -> None:
        """A reader has read on. What is too long for latecomers is forgotten as soon as all have read it."""
        self._positions[place] = to
        if self._size > self._most_bytes:
            slowest = min(self._positions.values())
            del self._pieces[: slowest - self._first]
            self._first = slowest
        if self._size > MOST_AHEAD:
            self._notify()

    def _ahead(self) -> int:
        fastest = max(self._positions.values())
        return sum(len(piece.data) for piece in self._pieces[max(0, fastest - self._first) :])

    def _notify(self) -> None:
        """Wake who waits now; who begins to wait later waits for the next change."""
        self._changed.set()
        self._changed.clear()


def _again(outcome: Exception) -> Exception:
    """An exception of one's own: a shared one would grow a traceback by all who raise it."""
    if isinstance(outcome, Failed):
        return Failed(outcome.error, is_shared=outcome.is_shared)
    return type(outcome)()
