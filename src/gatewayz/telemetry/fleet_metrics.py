"""`/metrics` of all workers of one serve, whichever of them is asked.

What a worker tells it has written down before, so that no counter goes back when the worker dies: who takes its slot
goes on from there, and where nobody has taken it yet, or its worker is frozen, what is written down counts. What a
killed worker had counted since it last told or wrote is lost, as it is with every process that is killed.
"""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatewayz.telemetry import snapshot
from gatewayz.telemetry.merging import lasting, merged, passing
from gatewayz.telemetry.siblings import Answers, Siblings, ask_workers
from gatewayz.telemetry.slots import Slot, counts_of, taken
from gatewayz.telemetry.snapshot import Family

METRICS = "metrics"
"""The question."""

WRITE_EVERY = 5.0
"""Seconds."""

log = structlog.get_logger("gatewayz.metrics")


class Together(Struct, frozen=True):
    """What all workers have counted. `answering`, `silent`: the numbers of their slots; of a silent one there is only
    what it had written down before.
    """

    families: list[Family]
    answering: tuple[int, ...]
    silent: tuple[int, ...]


class FleetMetrics:
    """`registry`: of this worker. `slot`: None where it is alone."""

    def __init__(self, registry: CollectorRegistry, slot: Slot | None) -> None:
        self._registry = registry
        self._slot = slot
        self._one_by_one = asyncio.Lock()
        self._inherited = lasting(_written_in(slot.counts)) if slot is not None else []

    async def answer(self, _words: bytes) -> bytes:
        """What this worker has counted, and those who had its slot before. It is written down when this returns."""
        return await self.write_down()

    async def write_down(self) -> bytes:
        """What was written. The event loop is kept only while counters are read; never is an older state written over a
        newer one.
        """
        async with self._one_by_one:
            own = snapshot.families(self._registry.collect())
            return await asyncio.to_thread(self._written, own)

    async def together(self, siblings: Siblings) -> Together:
        """Whoever of the workers is asked."""
        directory = self._slot.directory if self._slot is not None else None
        return await asyncio.to_thread(joined, await siblings.ask(METRICS), directory)

    async def text(self, siblings: Siblings) -> bytes:
        """The same in Prometheus's text form."""
        return await asyncio.to_thread(_text, await self.together(siblings))

    def _written(self, own: list[Family]) -> bytes:
        growing = merged({0: lasting(own), 1: self._inherited}) if self._inherited else lasting(own)
        counted = snapshot.written([*growing, *passing(own)])
        if self._slot is not None:
            _replace(self._slot.counts, counted)
        return counted


async def told_to_strangers(directories: Iterable[Path]) -> Together:
    """The same for who is no worker: of all workers with slots in these directories, of one serve each."""
    of_each = [await asyncio.to_thread(joined, await ask_workers(each, METRICS), each) for each in directories]
    return Together(
        merged({number: each.families for number, each in enumerate(of_each)}),
        tuple(number for each in of_each for number in each.answering),
        tuple(number for each in of_each for number in each.silent),
    )


def joined(answers: Answers, directory: Path | None) -> Together:
    """What the workers with slots in the directory told, and what those had written down that did not. Reads files."""
    workers = {number: snapshot.read(said) for number, said in answers.told.items()}
    if directory is not None:
        for number in taken(directory):
            if number not in workers:
                workers[number] = lasting(_written_in(counts_of(directory, number)))
    return Together(merged(workers), tuple(answers.told), answers.silent)


def _text(together: Together) -> bytes:
    shown = CollectorRegistry()
    shown.register(_Fixed([*map(snapshot.metric, together.families), _workers(together)]))
    return generate_latest(shown)


class _Fixed(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _workers(together: Together) -> Metric:
    workers = GaugeMetricFamily(
        "gatewayz_workers",
        "Workers of this serve: those whose figures are in this answer, and those that live and did not tell theirs, "
        "of which only what they had counted before is.",
        labels=["state"],
    )
    workers.add_metric(["answering"], len(together.answering))
    workers.add_metric(["silent"], len(together.silent))
    return workers


def _written_in(path: Path) -> list[Family]:
    try:
        return snapshot.read(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        log.warning("counts_unreadable", path=str(path), reason=f"{type(error).__name__}: {error}")
        return []


def _replace(path: Path, counted: bytes) -> None:
    """All of it or nothing, whenever the process dies."""
    new = path.with_suffix(".new")
    try:
        new.write_bytes(counted)
        new.replace(path)
    except OSError as error:
        log.warning("counts_not_written", path=str(path), reason=f"{type(error).__name__}: {error}")
