"""Who is left alone for a while: after failures in a row, or because it said so; then one request tries it again."""

from collections import Counter

from msgspec import Struct

from gatewayz.cache.redis_scripts import RedisScripts
from gatewayz.core.clock import Clock
from gatewayz.core.ids import random_id
from gatewayz.health import scripts
from gatewayz.health.config import HealthConfig

_WITHIN = 0.035
"""Seconds that Redis may take before this worker goes by what it knows itself."""
_BEHIND = 1.0
_MOST_KNOWN = 50_000
_ASK_AGAIN = 500
"""Milliseconds after which a worker asks again how the probe of another one went."""


class Pass(Struct, frozen=True):
    """Leave to ask `name`, to be ended by `succeeded`, `failed` or `abandoned`. `probe`: the token of the one request
    that tries it again, empty for any other.
    """

    name: str
    probe: str = ""


class _Known(Struct):
    """Of one breaker in this worker. On its monotonic clock: `until` when it is open, 0 while it is closed, and until
    when not to ask again as `probe`, or that of another worker, is under way.
    """

    failures: int = 0
    failed_at: float = 0.0
    until: float = 0.0
    pause: float = 0.0
    probe: str = ""
    probed_until: float = 0.0


class Breakers:
    """Shared by all workers through Redis; without it each worker goes by its own failures, by the same rules.

    While all is well a name costs a look into a dictionary. `counts`: how often one was opened, and passed by.
    """

    def __init__(self, redis: RedisScripts | None, clock: Clock, config: HealthConfig, *, prefix: str) -> None:
        self._redis = redis
        self._clock = clock
        self._config = config
        self._prefix = prefix
        self._known: dict[str, _Known] = {}
        self.counts: Counter[str] = Counter()

    def pause_of(self, name: str) -> float:
        """Seconds for which it is to be left alone, as far as this worker knows; 0 if it may be asked."""
        known = self._known.get(name)
        if known is None or not known.until:
            return 0.0
        return max(0.0, known.until - self._clock.monotonic(), known.probed_until - self._clock.monotonic())

    def is_half_open(self, name: str) -> bool:
        """Whether it was left alone, and is to be tried again by one request now, as far as this worker knows."""
        known = self._known.get(name)
        return known is not None and bool(known.until) and not self.pause_of(name)

    @property
    def open(self) -> int:
        """How many are left alone now."""
        return sum(1 for name in self._known if self.pause_of(name))

    def open_by_provider(self) -> Counter[str]:
        """How many are left alone now, by the provider whose they are."""
        return Counter(name.partition("/")[0] for name in self._known if self.pause_of(name))

    async def enter(self, name: str) -> Pass | None:
        """None while it is left alone."""
        known = self._known.get(name)
        if known is None or not known.until:
            return Pass(name)
        if not self.pause_of(name) and (entered := await self._probed(name, known)) is not None:
            return entered
        self.counts["passed_by"] += 1
        return None

    async def succeeded(self, entered: Pass) -> None:
        known = self._known.get(entered.name)
        if known is None or (known.until and not entered.probe):
            return
        self._known.pop(entered.name, None)
        if self._redis is not None:
            await self._redis.run(scripts.SUCCEEDED, [self._key(entered.name)], [entered.probe], within=_BEHIND)

    async def failed(self, entered: Pass, *, pause: float = 0.0) -> None:
        """`pause`: seconds for which it is to be left alone in any case."""
        config = self._config
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()  # each is heard of again with its next failure
        known = self._known.setdefault(entered.name, _Known())
        was_open = bool(known.until)
        if entered.probe and entered.probe == known.probe:
            known.probed_until = 0.0
        pause = min(pause, config.quota_pause)
        said = None
        if self._redis is not None:
            times = (config.failures_within, config.first_pause, config.longest_pause, pause)
            milliseconds = [int(seconds * 1000) for seconds in times]
            arguments: list[str | int] = [entered.probe, config.failures, *milliseconds]
            said = await self._redis.run(scripts.FAILED, [self._key(entered.name)], arguments, within=_WITHIN)
        if said is not None:
            known.until = self._clock.monotonic() + said / 1000 if said else 0.0
        else:
            self._failed_here(known, entered, pause)
        if known.until and not was_open:
            self.counts["opened"] += 1

    def abandoned(self, entered: Pass) -> None:
        """Nothing came of it: if it was the probe, another one may try at once."""
        known = self._known.get(entered.name)
        if known is None or not entered.probe or known.probe != entered.probe:
            return
        known.probed_until = 0.0
        if self._redis is not None:
            form = self._redis.form(scripts.ABANDONED, [self._key(entered.name)], [], rest=1)
            self._redis.post(form, (entered.probe,), within=_BEHIND)

    async def _probed(self, name: str, known: _Known) -> Pass | None:
        token = random_id("probe")
        said = None
        if self._redis is not None:
            arguments: list[str | int] = [token, int(self._config.probe * 1000), _ASK_AGAIN]
            said = await self._redis.run(scripts.PROBE, [self._key(name)], arguments, within=_WITHIN)
        if said is None or said < 0:
            known.probed_until = self._clock.monotonic() + self._config.probe
            known.probe = token
            return Pass(name, token)
        if said == 0:
            self._known.pop(name, None)
            return Pass(name)
        known.probed_until = self._clock.monotonic() + said / 1000
        return None

    def _failed_here(self, known: _Known, entered: Pass, pause: float) -> None:
        config, now = self._config, self._clock.monotonic()
        is_lately = now - known.failed_at <= config.failures_within
        known.failures = known.failures + 1 if is_lately else 1
        known.failed_at = now
        if pause:
            known.pause = pause
        elif not known.until:
            known.pause = config.first_pause if known.failures >= config.failures else 0.0
        elif entered.probe and entered.probe == known.probe:
            known.pause = min(2 * (known.pause or config.first_pause), config.longest_pause)
        else:
            return
        if known.pause:
            known.until = max(known.until, now + known.pause)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{{{name}}}"
