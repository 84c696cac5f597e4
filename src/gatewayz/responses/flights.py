"""The answers under way in this worker."""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import structlog

from gatewayz.core.errors import unexpected
from gatewayz.responses.flight import Failed, Flight, Lost

log = structlog.get_logger("gatewayz.responses")

_LOOK_AGAIN = 1.0
"""Seconds after which it is asked again whether other workers follow an answer that nobody reads here."""

Make: TypeAlias = Callable[[Flight], Coroutine[Any, Any, None]]
"""Begins the flight, appends to it and ends it."""


class Flights:
    """Each is made in a task of its own, which ends early only when nobody reads it any more. `most_bytes`: of an
    answer that latecomers can join.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._open: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    def of(self, key: str) -> Flight | None:
        """One that brings the answer, if it can still be had whole."""
        flight = self._open.get(key)
        return flight if flight is not None and flight.is_open else None

    def begin(self, key: str | None, make: Make) -> Flight:
        """A new one, which others find under the key. None: nobody does."""
        flight = Flight(lambda: self._abandoned(key, flight, task), most_bytes=self._most_bytes)
        if key is not None:
            self._open[key] = flight
        task = asyncio.get_running_loop().create_task(make(flight), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._landed, key, flight))
        return flight

    async def close(self, within: float) -> None:
        """Let what is under way come to its end, in so many seconds at most: others may follow it."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=within)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _abandoned(self, key: str | None, flight: Flight, task: "asyncio.Task[None]") -> None:
        if flight.is_followed is None:
            self._forget(key, flight)
            task.cancel()
        else:
            watch = asyncio.get_running_loop().create_task(self._until_nobody_follows(key, flight, task))
            self._tasks.add(watch)
            watch.add_done_callback(self._tasks.discard)

    async def _until_nobody_follows(self, key: str | None, flight: Flight, task: "asyncio.Task[None]") -> None:
        """Nobody reads it here: but others may elsewhere."""
        while flight.is_followed is not None and not flight.is_ended and not flight.readers:
            if not await flight.is_followed():
                if not flight.readers:
                    self._forget(key, flight)
                    task.cancel()
                return
            await asyncio.sleep(_LOOK_AGAIN)

    def _landed(self, key: str | None, flight: Flight, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._forget(key, flight)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("answer_not_made", exc_info=error)
        if not flight.is_ended:
            flight.fail(Lost() if error is None else Failed(unexpected(), is_shared=True))
        flight.close()

    def _forget(self, key: str | None, flight: Flight) -> None:
        if key is not None and self._open.get(key) is flight:
            del self._open[key]
