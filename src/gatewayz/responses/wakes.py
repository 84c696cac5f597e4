"""One subscription of a worker, by which it hears that an answer it follows has grown, and that one it makes is
followed. What it misses, followers find a little later by looking, and the maker when it says that it is still at it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from gatewayz.cache.redis_lines import Lines

_BEAT = 1.0
_CLOSED_WITHIN = 0.1


class Wakes:
    """`channel`: what is published there is the token of an answer that has grown, or `?` and the token of one that
    somebody has begun to follow.
    """

    def __init__(self, lines: Lines, channel: str) -> None:
        self._lines = lines
        self._calls: dict[str, Callable[[], object]] = {}
        self.channel = channel

    @contextmanager
    def wake(self, token: str) -> Iterator[asyncio.Event]:
        """Set whenever that answer has grown. For one follower of a token at a time."""
        woken = asyncio.Event()
        self._calls[token] = woken.set
        try:
            yield woken
        finally:
            self._calls.pop(token, None)

    def when_followed(self, token: str, call: Callable[[], object]) -> Callable[[], None]:
        """Call back whenever somebody begins to follow that answer, until what this returns is called."""
        name = f"?{token}"
        self._calls[name] = call

        def end() -> None:
            self._calls.pop(name, None)

        return end

    async def listen(self) -> None:
        """Returns when Redis is away, or the channel has moved: to be called again."""
        pubsub: PubSub | None = None
        try:
            redis = await self._lines.find(self.channel)
            pubsub = redis.pubsub()
            await pubsub.subscribe(self.channel)
            while True:
                if (message := await pubsub.get_message(timeout=_BEAT)) is not None:
                    self._hear(message)
                elif self._lines.may_move and await self._lines.find(self.channel) is not redis:
                    return
        except (RedisError, OSError):
            self._lines.forget()
        finally:
            if pubsub is not None:
                await _closed(pubsub)

    def _hear(self, message: dict[str, object]) -> None:
        token = message["data"]
        if message["type"] == "message" and isinstance(token, bytes):
            call = self._calls.get(token.decode())
            if call is not None:
                call()


async def _closed(pubsub: PubSub) -> None:
    """Closing says goodbye over a link that may be dead; that it fails tells nothing new."""
    try:
        async with asyncio.timeout(_CLOSED_WITHIN):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
    except (RedisError, OSError):
        pass
