"""The bus over Redis publish/subscribe, with a heartbeat and with acknowledgements."""

import asyncio
import secrets
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from gatewayz.cache.errors import BusDown
from gatewayz.cache.redis_lines import Lines, OneLine

BEAT = 1.0
ACKNOWLEDGED_WITHIN = 1.0
SENT_WITHIN = 0.250


class _Sent:
    """A message on its way: complete when as many workers have confirmed it as Redis says have received
    it, less those known to be `deaf` once all who are known to be `hearing` have.
    """

    def __init__(self, hearing: frozenset[str], deaf: int) -> None:
        self._hearing = hearing
        self._deaf = deaf
        self.receivers: int | None = None
        self.confirmed: set[str] = set()
        self.complete = asyncio.Event()

    @property
    def missing(self) -> int:
        return max(0, (self.receivers or 0) - len(self.confirmed))

    def check(self) -> None:
        if self.receivers is None:
            return
        if not self.missing or (self.missing <= self._deaf and self._hearing <= self.confirmed):
            self.complete.set()


class RedisBus:
    """A frozen link counts as lost after two silent beats (2 s), and so does one to a server where the others no longer
    speak. A listener that did not confirm in time, such as a frozen process, is waited for once: then no longer, and
    nothing counts as confirmed by all, until it speaks again. Seconds. The clients must not retry
    (`connection.connect`).
    """

    def __init__(
        self,
        redis: Redis | Lines,
        *,
        channel: str = "gw:bus",
        beat: float = BEAT,
        sent_within: float = SENT_WITHIN,
        acknowledged_within: float = ACKNOWLEDGED_WITHIN,
    ) -> None:
        self._lines: Lines = OneLine(redis) if isinstance(redis, Redis) else redis
        self._sent_within = sent_within
        self._acknowledged_within = acknowledged_within
        self._channel = channel
        self._beat = beat
        self._me = secrets.token_hex(8)
        self._ack_channel = f"{channel}:ack:{self._me}"
        self._sent: dict[str, _Sent] = {}
        self._hearing: frozenset[str] = frozenset()
        self._deaf = 0
        self._reader: asyncio.Task[None] | None = None

    async def publish(self, payload: str) -> bool:
        number = secrets.token_hex(6)
        sent = self._sent[number] = _Sent(self._hearing, self._deaf)
        is_sent = False
        try:
            async with asyncio.timeout(self._sent_within):
                redis = await self._lines.home(self._channel)
                here = int(await redis.publish(self._channel, f"{self._me} {number} {payload}"))
                is_sent = True
                sent.receivers = await self._lines.receivers(self._channel, here)
            if self._reader is None or self._reader.done():
                return False
            return await self._is_confirmed(sent)
        except (RedisError, OSError) as error:
            if is_sent:
                return False
            self._lines.forget()
            raise BusDown(f"cannot publish on {self._channel!r}: {error!r}; see that Redis is up") from error
        finally:
            del self._sent[number]

    async def _is_confirmed(self, sent: _Sent) -> bool:
        sent.check()
        try:
            async with asyncio.timeout(self._acknowledged_within):
                await sent.complete.wait()
        except TimeoutError:
            self._hearing, self._deaf = frozenset(sent.confirmed), sent.missing
            return False
        if sent.missing:
            return False
        self._hearing, self._deaf = frozenset(sent.confirmed), 0
        return True

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        await self._stop()
        pubsub: PubSub | None = None
        try:
            async with asyncio.timeout(2 * self._beat):
                redis = await self._lines.find(self._channel)
                pubsub = redis.pubsub()
                await pubsub.subscribe(self._channel, self._ack_channel)
                for _ in range(2):
                    await _confirmed(pubsub)
        except (RedisError, OSError) as error:
            self._lines.forget()
            if pubsub is not None:
                await _closed(pubsub)
            raise BusDown(f"cannot listen on {self._channel!r}: {error!r}; see that Redis is up") from error
        reading = self._read(redis, pubsub, on_message, on_lost)
        self._reader = asyncio.create_task(reading, name="cache bus reader")

    async def close(self) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._reader is not None:
            while not self._reader.done():  # redis-py loses a cancel that meets a timeout of its own
                self._reader.cancel()
                await asyncio.wait({self._reader}, timeout=self._beat)
            self._reader = None

    async def _read(
        self, redis: Redis, pubsub: PubSub, on_message: Callable[[str], None], on_lost: Callable[[], None]
    ) -> None:  # fmt: skip
        moving = asyncio.current_task() if self._lines.may_move else None
        watch = (
            None if moving is None else asyncio.create_task(self._until_moved(redis, moving), name="cache bus watch")
        )
        try:
            await self._follow(pubsub, on_message)
        except (RedisError, OSError):
            pass  # the same as silence: told by on_lost
        finally:
            if watch is not None:
                watch.cancel()
            on_lost()
            await _closed(pubsub)

    async def _until_moved(self, redis: Redis, reader: "asyncio.Task[None]") -> None:
        """End the reader when the others speak elsewhere."""
        while True:
            await asyncio.sleep(self._beat)
            try:
                is_here = await self._lines.find(self._channel) is redis
            except (RedisError, OSError):
                continue  # then nobody knows
            if not is_here:
                reader.cancel()  # which ends this task, too

    async def _follow(self, pubsub: PubSub, on_message: Callable[[str], None]) -> None:
        """Return when the link was silent for two beats, or was made anew: either may have swallowed
        messages.
        """
        asked = False
        while True:
            message = await pubsub.get_message(timeout=self._beat)
            if message is None:
                if asked:
                    return
                async with asyncio.timeout(self._beat):
                    await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                return
            if message["type"] == "message":
                await self._take(message["channel"].decode(), message["data"].decode(), on_message)

    async def _take(self, channel: str, text: str, on_message: Callable[[str], None]) -> None:
        if channel == self._ack_channel:
            number, _, who = text.partition(" ")
            self._on_confirmed(number, who)
            return
        sender, number, payload = text.split(" ", 2)
        on_message(payload)
        async with asyncio.timeout(self._beat):
            redis = await self._lines.home(self._channel)
            await redis.publish(f"{self._channel}:ack:{sender}", f"{number} {self._me}")

    def _on_confirmed(self, number: str, who: str) -> None:
        if sent := self._sent.get(number):
            sent.confirmed.add(who)
            sent.check()
        elif who not in self._hearing:
            self._deaf = 0  # one who was not waited for speaks again


async def _confirmed(pubsub: PubSub) -> None:
    while (message := await pubsub.get_message(timeout=None)) is None or message["type"] != "subscribe":
        pass


async def _closed(pubsub: PubSub) -> None:
    """Closing says goodbye over a link that may be dead; that it fails tells nothing new."""
    try:
        async with asyncio.timeout(0.1):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
    except (RedisError, OSError):
        pass
