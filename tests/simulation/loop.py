"""An event loop with virtual time and no outside world, so that what happens depends on the seed alone."""

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TURN = 1e-9
"""Every turn takes some time, or what asks for 'now' again and again would never see it pass."""
LATE = 1e-6
"""A timer strikes a little late, as all do: who computes anew when it was to strike must find that it is over."""


class Stuck(Exception):
    """What was waited for cannot happen any more, or did not happen in the virtual time or turns it was given."""


class SimLoop(asyncio.AbstractEventLoop):
    """Ready callbacks run first in, first out; timers by time, then in the order of their making. With nothing ready,
    time jumps to the next timer. Threads are not used: what is handed to an executor runs at once. `turns` counts the
    callbacks run, `failures` keeps what no task or callback answered for.
    """

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._now = 0.0
        self._made = 0
        self._interrupted_at = -1
        self._interrupt: Callable[[], object] = list
        self.turns = 0
        self.failures: list[str] = []

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None  # noqa: ANN401
    ) -> asyncio.Handle:  # fmt: skip
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any,  # noqa: ANN401
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:  # fmt: skip
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._made += 1
        heapq.heappush(self._timers, (when, self._made, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any,  # noqa: ANN401
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:  # fmt: skip
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays where it is until its time has come."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]
        self, _executor: None, func: Callable[..., T], *args: Any  # noqa: ANN401
    ) -> asyncio.Future[T]:  # fmt: skip
        future = self.create_future()
        future.set_result(func(*args))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def interrupt(self, turn: int, callback: Callable[[], object]) -> None:
        """Call back between two callbacks, when that many have been run."""
        self._interrupted_at, self._interrupt = turn, callback

    def timers(self) -> list[asyncio.TimerHandle]:
        """Those that will still strike."""
        return [timer for _, _, timer in self._timers if not timer.cancelled()]

    def run_until_complete(  # type: ignore[override]
        self, main: Coroutine[Any, Any, T], *, most_turns: int = 10_000_000, until: float = float("inf")
    ) -> T:
        """What `main` returns or raises. Raises Stuck where it could not end."""
        before = events._get_running_loop()
        events._set_running_loop(None)
        events._set_running_loop(self)
        try:
            task = self.create_task(main)
            self._run(task, self.turns + most_turns, until)
        finally:
            events._set_running_loop(before)
        return task.result()

    def _run(self, task: asyncio.Task[Any], most_turns: int, until: float) -> None:
        ready, timers = self._ready, self._timers
        while not task.done():
            if not ready:
                self._jump(until)
            self._now += TURN
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    self.turns += 1
                    handle._run()
                    if self.turns == self._interrupted_at:
                        self._interrupt()
            while timers and timers[0][0] <= self._now:
                timer = heapq.heappop(timers)[2]
                if not timer._cancelled:
                    ready.append(timer)
            if self.turns > most_turns:
                raise Stuck(f"{self.turns} callbacks were run and it goes on")

    def _jump(self, until: float) -> None:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck("nothing is ready, and no timer is set")
        if timers[0][0] > until:
            raise Stuck(f"it goes on after {until} virtual seconds")
        self._now = max(self._now, timers[0][0]) + LATE
        while timers and timers[0][0] <= self._now:
            timer = heapq.heappop(timers)[2]
            if not timer._cancelled:
                self._ready.append(timer)


class SimClock:
    """The loop's time as the cache asks for it. `skew`: seconds by which a worker's wall clock is wrong."""

    def __init__(self, loop: SimLoop, skew: float = 0.0) -> None:
        self._loop = loop
        self._skew = skew

    def now(self) -> float:
        return 1_800_000_000.0 + self._loop.time() + self._skew

    def monotonic(self) -> float:
        return 1000.0 + self._loop.time()
