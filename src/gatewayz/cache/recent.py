"""What was invalidated a moment ago, for a server that takes over without having been told."""

from collections.abc import Callable, Iterable

from gatewayz.cache.cascade import Target

SPAN = 10.0
MOST = 10_000


class Recent:
    """Targets of the ten seconds before the servers were last known to be the same, and of all time since: while a
    server is away, nothing is forgotten. What would be too much is kept as whole entities. `monotonic` gives seconds.
    """

    def __init__(self, monotonic: Callable[[], float], *, span: float = SPAN, most: int = MOST) -> None:
        self._monotonic = monotonic
        self._span = span
        self._most = most
        self._noted: dict[Target, tuple[float, int]] = {}  # the oldest first

    def note(self, targets: Iterable[Target], floor: int = 0) -> None:
        now = self._monotonic()
        for target in targets:
            _, before = self._noted.pop(target, (now, 0))
            self._noted[target] = now, max(floor, before)
        if len(self._noted) > self._most:
            self._shrink(now)

    def confirm(self) -> None:
        """The servers are those that were told: they have had their time to pass it on."""
        before = self._monotonic() - self._span
        while self._noted and next(iter(self._noted.values()))[0] < before:
            del self._noted[next(iter(self._noted))]

    def targets(self) -> list[tuple[Target, int]]:
        """Each with its floor."""
        return [(target, floor) for target, (_, floor) in self._noted.items()]

    def _shrink(self, now: float) -> None:
        floors: dict[str, int] = {}
        for target, (_, floor) in self._noted.items():
            floors[target.name] = max(floor, floors.get(target.name, 0))
        self._noted = {Target(name, None): (now, floor) for name, floor in floors.items()}
