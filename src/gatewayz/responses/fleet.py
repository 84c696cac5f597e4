"""An answer under way, shared by all workers: one makes it, and tells the others what comes as soon as any of them
follows.

What the leader tells is numbered, so that a part that was lost ends the following instead of leaving a gap. Where Redis
does not answer, each worker makes its own.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from msgspec import Struct

from gatewayz.cache.redis_scripts import Form, RedisScripts
from gatewayz.core.clock import Clock
from gatewayz.responses import scripts
from gatewayz.responses.flight import Lost
from gatewayz.responses.records import Chunk, Record, Told, TooLong, read, written
from gatewayz.responses.wakes import Wakes

_WITHIN = 0.25
"""Seconds that Redis may take where somebody waits."""
_CLAIMED_WITHIN = 0.035
_BEHIND = 1.0
_LOOK_AGAIN = 0.25
"""Seconds after which a follower looks without having been told to."""
_AT_ONCE = 64
_LOG_LASTS = 10_000
"""Milliseconds for which a log is kept beyond its lease or its end."""
_MARK_LASTS = 3_000
_LATELY = 5_000
"""Milliseconds after an answer was kept for which who begins it again looks once more: no look-up takes as long."""
_IS_FOLLOWED = 2
"""What the scripts say of an answer that somebody follows: it is to be told, and is not given up before."""


class Following(Struct, frozen=True):
    """Another worker makes it."""

    key: str
    token: str


class Lead:
    """We make it, for as long as we say so. What is written stays here until another worker follows; from then on Redis
    has it, which is not waited for. `is_late`: the same answer was kept a moment ago.
    """

    def __init__(self, fleet: "Fleet", key: str, token: str, *, is_late: bool) -> None:
        self._fleet = fleet
        self._keys = fleet.keys_of(key, token)
        self._append = fleet.append_form(self._keys, token)
        self._token = token
        self._untold: Told = []
        self._entries = 0
        self._size = 0
        self._is_followed = False
        self._is_over = False
        self.is_late = is_late
        self._forget = fleet.wakes.when_followed(token, self._tell_all)
        self._renewal = asyncio.get_running_loop().call_later(fleet.lease / 3, self._renew)

    def write(self, record: Record) -> None:
        if self._is_over:
            return
        if isinstance(record, Chunk):
            self._size += len(record.data)
            if self._size > self._fleet.most_bytes:
                self._is_over = True
                self._untold = []
                record = TooLong()
        self._untold.append(record)
        if self._is_followed:
            self._tell()

    def release(self, *, is_kept: bool) -> None:
        """The record of its end is written, and the answer is kept or will not be."""
        self._renewal.cancel()
        self._forget()
        form = self._fleet.release_form(self._keys, self._token, lately=_LATELY if is_kept else 0)

        def let_go(_said: int | None = None) -> None:
            self._fleet.redis.post(form, ("told",), within=_BEHIND)

        def refused(said: int | None) -> None:
            if said == _IS_FOLLOWED:
                self._fleet.redis.hear(self._append, self._entry(), let_go, within=_BEHIND)

        if self._is_followed:
            let_go()
        else:
            self._fleet.redis.hear(form, ("",), refused, within=_BEHIND)

    async def is_followed(self) -> bool:
        return await self._fleet.is_followed(self._keys[2])

    def _tell_all(self) -> None:
        """Somebody follows."""
        self._is_followed = True
        if self._untold:
            self._tell()

    def _tell(self) -> None:
        self._fleet.redis.post(self._append, self._entry(), within=_BEHIND)

    def _entry(self) -> tuple[int, bytes]:
        """The next of the log: its number, and all that was not told."""
        number, told = self._entries, written(self._untold)
        self._entries, self._untold = number + 1, []
        return number, told

    def _renew(self) -> None:
        def renewed(said: int | None) -> None:
            if said == _IS_FOLLOWED:
                self._tell_all()

        self._fleet.redis.hear(self._append, (self._entries, b""), renewed, within=_BEHIND)
        self._renewal = asyncio.get_running_loop().call_later(self._fleet.lease / 3, self._renew)


class Fleet:
    """`prefix` of all keys. `lease`: seconds. `most_bytes`: of an answer that others can follow."""

    def __init__(
        self, redis: RedisScripts, wakes: Wakes, clock: Clock, *, prefix: str, lease: float, most_bytes: int
    ) -> None:
        self.redis = redis
        self.lease = lease
        self.most_bytes = most_bytes
        self.wakes = wakes
        self._clock = clock
        self._prefix = prefix

    async def claim(self, key: str) -> Lead | Following | None:
        """None where Redis does not answer."""
        token = secrets.token_hex(12)
        said = await self.redis.run(
            scripts.CLAIM, [self._lease_key(key)], (token, self._milliseconds), within=_CLAIMED_WITHIN
        )
        if said is None:
            return None
        if said[0] == 1:
            return Lead(self, key, token, is_late=bool(said[1]))
        return Following(key, said[1].decode())

    async def follow(self, following: Following) -> AsyncIterator[Record]:
        """What its maker writes, from the beginning. Raises Lost when that one has gone, or cannot be heard for the
        length of a lease.
        """
        keys, at = self.keys_of(following.key, following.token), 0
        heard = self._clock.monotonic()
        with self.wakes.wake(following.token) as woken:
            while True:
                woken.clear()
                asked = (following.token, at, _AT_ONCE, _MARK_LASTS, self.wakes.channel)
                said = await self.redis.run(scripts.FOLLOW, keys, asked, within=_WITHIN)
                if said is not None:
                    heard = self._clock.monotonic()
                    is_made, entries = said
                    for entry in entries:
                        at += 1
                        for record in read(entry):
                            yield record
                    if len(entries) == _AT_ONCE:
                        continue
                    if not is_made:
                        raise Lost
                elif self._clock.monotonic() - heard > self.lease:
                    raise Lost
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await woken.wait()

    def keys_of(self, key: str, token: str) -> tuple[str, str, str]:
        """Lease, log and mark."""
        lease = self._lease_key(key)
        return lease, f"{lease}:log:{token}", f"{lease}:followed:{token}"

    def append_form(self, keys: tuple[str, str, str], token: str) -> Form:
        lasts = self._milliseconds + _LOG_LASTS
        return self.redis.form(scripts.APPEND, keys, (token, self._milliseconds, lasts, self.wakes.channel), rest=2)

    def release_form(self, keys: tuple[str, str, str], token: str, *, lately: int) -> Form:
        return self.redis.form(scripts.RELEASE, keys, (token, lately, self.wakes.channel), rest=1)

    async def is_followed(self, mark: str) -> bool:
        return bool(await self.redis.run(scripts.FOLLOWED, [mark], (), within=_WITHIN))

    @property
    def _milliseconds(self) -> int:
        return int(self.lease * 1000)

    def _lease_key(self, key: str) -> str:
        return f"{self._prefix}{{{key}}}"
