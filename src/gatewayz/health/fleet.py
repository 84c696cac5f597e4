"""How providers and their models fare, as all workers together see it: each tells what it saw, off the hot path."""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.clock import Clock
from gatewayz.health import scripts
from gatewayz.health.config import HealthConfig
from gatewayz.health.model import SLOT, SLOTS, Figures, State
from gatewayz.health.seen import Seen
from gatewayz.health.verdict import Verdict, folded, state_of, verdict

MOST = 2000
"""Names that are kept, and told apart between two exchanges: those heard of last."""
_BATCH = 50
"""Figures in one script, so that none keeps Redis for long."""
_PAGE = 500
_WITHIN = 1.0
"""Seconds that Redis may take: nobody waits for it."""
_ROUNDS = 3
"""How often figures are worked out anew where another worker came before. Then it waits for the next time."""
_KEPT = SLOT * SLOTS
"""Seconds after which what nothing is heard of is forgotten."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Figures, strict=False).decode


class _Known(Struct, frozen=True):
    """`figures`: None where Redis holds what cannot be read."""

    figures: Figures | None
    version: int


class FleetHealth:
    """By the name of a provider (`acme`) or of one of its models there (`acme/rocket`).

    Telling what was seen and asking for a state cost a look into a dictionary; `exchange`, in the background, does the
    rest. Without Redis, or while it does not answer, a worker goes by what it sees itself: `is_shared` says which.
    """

    def __init__(self, redis: RedisScripts | None, clock: Clock, config: HealthConfig, *, prefix: str) -> None:
        self._redis = redis
        self._clock = clock
        self._config = config
        self._keys = [f"{prefix}{{figures}}", f"{prefix}{{figures}}:versions"]
        self._known: dict[str, _Known] = {}
        self._seen: dict[str, Seen] = {}
        self._newest = 0
        self._exchanging = asyncio.Lock()
        self._exchanged_at = -float("inf")
        self.is_shared = False

    def answered(self, provider: str, name: str, seconds: float, *, is_stream: bool) -> None:
        """An answer began after so many seconds."""
        is_slow = seconds >= self._config.slow
        for seen in self._both(provider, name):
            seen.began(seconds, is_stream=is_stream, is_slow=is_slow)

    def spoke(self, provider: str, name: str) -> None:
        """It is well, and how long it took tells nothing: it found fault with the request, or counted tokens."""
        for seen in self._both(provider, name):
            seen.requests += 1

    def failed(self, provider: str, name: str | None, *, had_begun: bool, pause: float) -> None:
        """`name`: None where the account there is in trouble, whatever is asked for. `had_begun`: it has been told of
        as answered. `pause`: seconds for which that is left alone now.
        """
        names = [provider] if name is None else [provider, name]
        for each in names:
            seen = self._seen_of(each)
            seen.requests += not had_begun
            seen.failures += 1
        if pause:
            self._seen_of(names[-1]).left_alone_until = self._clock.now() + pause

    def recovered(self, name: str) -> None:
        """One request tried again what was left alone, and it answers: what failed before is forgotten."""
        if name not in self._seen and len(self._seen) >= MOST:
            return
        seen = self._seen[name] = Seen(is_recovered=True)
        seen.requests = 1
        known = self._known.get(name)
        if known is not None and known.figures is not None:
            figures = replace(known.figures, state=State.UNKNOWN, left_alone_until=0.0)
            self._known[name] = _Known(figures, known.version)

    def probed(self, provider: str, *, is_well: bool) -> None:
        seen = self._seen_of(provider)
        seen.probes += 1
        seen.failed_probes += not is_well

    def state_of(self, name: str) -> State:
        """As far as this worker has heard."""
        return state_of(self.figures_of(name), self._clock.now(), self._config.known_for)

    def verdict_of(self, name: str) -> Verdict:
        return verdict(self.figures_of(name), self._clock.now(), self._config)

    def figures_of(self, name: str) -> Figures | None:
        known = self._known.get(name)
        return None if known is None else known.figures

    def names(self) -> Iterable[str]:
        """Of all that something was heard of in the last half hour."""
        return list(self._known)

    async def catch_up(self) -> None:
        """Know what the others have told, in a process that does not exchange by itself as well."""
        if self._clock.monotonic() - self._exchanged_at > 2 * self._config.share_every:
            await self.exchange()

    async def exchange(self) -> None:
        """Tell the others what was seen since the last time, and hear what they told."""
        async with self._exchanging:
            self.is_shared = await self._hear()
            seen, self._seen = self._seen, {}
            for _ in range(_ROUNDS):
                if not self.is_shared or not seen:
                    break
                seen = await self._tell(seen)
            if self.is_shared:
                self._tell_later(seen)
            else:
                self._fold_here(seen)
            self._forget()
            self._exchanged_at = self._clock.monotonic()

    def _both(self, provider: str, name: str) -> tuple[Seen, Seen]:
        return self._seen_of(provider), self._seen_of(name)

    def _seen_of(self, name: str) -> Seen:
        seen = self._seen.get(name)
        if seen is None:
            seen = Seen()
            if len(self._seen) < MOST:
                self._seen[name] = seen
        return seen

    async def _hear(self) -> bool:
        """Whether Redis has told all that is new."""
        if self._redis is None:
            return False
        while True:
            said = await self._redis.run(scripts.CHANGED, self._keys, [self._newest, _PAGE], within=_WITHIN)
            if said is None:
                self._newest = 0  # what was missed meanwhile is unknown: all is asked for anew
                return False
            newest, told = int(said[0]), said[1:]
            if newest < self._newest:
                self._newest = 0  # a server that lacks what was written last: it is asked for all that it has
                continue
            for name, version, figures in zip(told[::3], told[1::3], told[2::3], strict=True):
                self._newest = int(version)
                self._learn(name.decode(), int(version), figures)
            if len(told) < 3 * _PAGE:
                return True

    def _learn(self, name: str, version: int, figures: bytes) -> None:
        try:
            self._known[name] = _Known(_decode(figures), version)
        except msgspec.DecodeError:
            self._known[name] = _Known(None, version)

    async def _tell(self, seen: Mapping[str, Seen]) -> dict[str, Seen]:
        """Of what another worker has written meanwhile: that is known now, and this to be told again."""
        again: dict[str, Seen] = {}
        left = iter(seen.items())
        while batch := dict(islice(left, _BATCH)):
            made = {name: self._folded(name, each) for name, each in batch.items()}
            arguments: list[str | bytes | int] = [MOST, int(_KEPT * 1000)]
            for name, known in made.items():
                arguments += [name, known.version, _encode(known.figures)]
            assert self._redis is not None  # noqa: S101  as the caller has seen
            said = await self._redis.run(scripts.WRITTEN, self._keys, arguments, within=_WITHIN)
            if said is None:  # it may have been written: told again it would count twice
                self._known.update(made)
                self.is_shared = False
                continue
            for (name, known), version in zip(made.items(), said, strict=True):
                if isinstance(version, list):
                    self._learn(name, int(version[0]), version[1])
                    again[name] = batch[name]
                else:
                    self._known[name] = _Known(known.figures, int(version))
        return again

    def _folded(self, name: str, seen: Seen) -> _Known:
        """With the version from which it was worked out."""
        known = self._known.get(name)
        figures = folded(self.figures_of(name), seen, self._clock.now(), self._config)
        return _Known(figures, known.version if known is not None else 0)

    def _tell_later(self, seen: Mapping[str, Seen]) -> None:
        for name, each in seen.items():
            self._seen_of(name).add(each)

    def _fold_here(self, seen: Mapping[str, Seen]) -> None:
        self._known.update({name: self._folded(name, each) for name, each in seen.items()})

    def _forget(self) -> None:
        oldest = self._clock.now() - _KEPT
        heard = {
            name: (known.figures.at, known.version)
            for name, known in self._known.items()
            if known.figures is not None and known.figures.at >= oldest
        }
        self._known = {name: self._known[name] for name in sorted(heard, key=heard.__getitem__)[-MOST:]}
