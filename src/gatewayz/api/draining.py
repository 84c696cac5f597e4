"""How far a worker is with stopping: asked to, deaf to new connections, at the end of its patience."""

from gatewayz.api.config import DrainConfig
from gatewayz.core.clock import Clock


class Drain:
    """Begun once; asking again changes nothing, as a terminal and a supervisor may both ask."""

    def __init__(self, config: DrainConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._began: float | None = None
        self._is_cut = False

    @property
    def has_begun(self) -> bool:
        """From now on no traffic is welcome."""
        return self._began is not None

    @property
    def is_deaf(self) -> bool:
        """New connections are no longer taken."""
        return self._began is not None and (self._is_cut or self._passed >= self._config.notice)

    @property
    def left(self) -> float:
        """Seconds that what runs may still take. None is left where no drain has begun: then nothing is waited for."""
        if self._began is None or self._is_cut:
            return 0.0
        return max(0.0, self._config.limit - self._passed)

    def begin(self) -> None:
        if self._began is None:
            self._began = self._clock.monotonic()

    def cut(self) -> None:
        """Wait no longer."""
        self.begin()
        self._is_cut = True

    @property
    def _passed(self) -> float:
        return 0.0 if self._began is None else self._clock.monotonic() - self._began
