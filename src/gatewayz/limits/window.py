"""A sliding window of narrow slots, in this worker's memory. The same rules as those of scripts.py."""

import math
from collections import deque

from gatewayz.limits.scripts import SLOTS

MICROSECONDS = 1_000_000


class Slot:
    __slots__ = ("number", "requests", "tokens")

    def __init__(self, number: int, requests: int, tokens: int) -> None:
        self.number = number
        self.requests = requests
        self.tokens = tokens


class Window:
    """What came in the last `seconds`, at most one slot longer. Times are microseconds, and never go back."""

    def __init__(self, seconds: int) -> None:
        self._width = seconds * MICROSECONDS / SLOTS
        self._slots: deque[Slot] = deque()
        self.requests = 0
        self.tokens = 0

    def expire(self, now: int) -> None:
        """Forget what has left. To be called before anything is read."""
        oldest = math.floor(now / self._width) - SLOTS
        while self._slots and self._slots[0].number < oldest:
            gone = self._slots.popleft()
            self.requests -= gone.requests
            self.tokens -= gone.tokens

    def add(self, now: int, tokens: int) -> None:
        number = math.floor(now / self._width)
        if self._slots and self._slots[-1].number >= number:
            self._slots[-1].requests += 1
            self._slots[-1].tokens += tokens
        else:
            self._slots.append(Slot(number, 1, tokens))
        self.requests += 1
        self.tokens += tokens

    def correct(self, at: int, more: int) -> None:
        """What came at that moment used so many tokens more than were counted; nothing, once that has left."""
        number = math.floor(at / self._width)
        for slot in reversed(self._slots):
            if slot.number <= number:
                if slot.number == number:
                    change = max(more, -slot.tokens)
                    slot.tokens += change
                    self.tokens += change
                return

    def wait(self, now: int, requests: int, tokens: int) -> float:
        """Seconds until so many requests and tokens have left."""
        for slot in self._slots:
            requests -= slot.requests
            tokens -= slot.tokens
            if requests <= 0 and tokens <= 0:
                return self._leaves_in(slot, now)
        return 0.0

    def empty_in(self, now: int) -> float:
        """Seconds until nothing is left."""
        return self._leaves_in(self._slots[-1], now) if self._slots else 0.0

    def _leaves_in(self, slot: Slot, now: int) -> float:
        return ((slot.number + SLOTS + 1) * self._width - now) / MICROSECONDS
