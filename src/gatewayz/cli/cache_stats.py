"""`gatewayz cache stats`: the figures of all workers, asked of them as they ask each other."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gatewayz.api.cache_figures import figures_of
from gatewayz.api.cache_forms import EntityForm, FiguresForm
from gatewayz.api.parameters import unknown_name
from gatewayz.app import Parts
from gatewayz.cli.console import Json, Output, table
from gatewayz.cli.installation import with_parts
from gatewayz.core.errors import GatewayzError
from gatewayz.settings import load_settings
from gatewayz.telemetry.fleet_metrics import told_to_strangers
from gatewayz.telemetry.slots import run_directories

NO_SUCH_ENTITY = 2
_STATS = (
    "entity", "reads", "hit rate", "memory", "Redis", "stale", "miss", "collapsed", "load, mean", "age, mean",
    "entries", "KB", "in Redis", "KB there", "saved",
)  # fmt: skip


def stats(
    entity: Annotated[str | None, typer.Argument(help="Only this entity, in full.")] = None,
    as_json: Json = False,
) -> None:
    """Say what the caches of all running workers did since their start, by entity: reads and how they ended.

    A read counts once. Memory and Redis: hits there. Miss: it waited for a load of its own; collapsed: for one that
    another had begun. Age: how old values were when they were served from memory, on the average. Entries and bytes in
    Redis are estimated from keys drawn at random. Saved: hits times the mean time of a load; for answers (`chat`) what
    they took and cost when they were made. Asks the workers of this data directory, on this host, of this user; the
    last line says how many of them answered. Exit code 1 if none runs, 2 if there is no such entity.
    """
    output = Output()
    with output.explaining_errors():
        figures = _figures()
        if entity is not None and entity not in figures.entities:
            output.say(f"error: {unknown_name('entity', entity, figures.entities)}")
            sys.exit(NO_SUCH_ENTITY)
        if as_json:
            output.json((figures if entity is None else figures.entities[entity]).model_dump())
            return
        if entity is None:
            rows = [*((name, each) for name, each in figures.entities.items() if each.reads), ("all", figures.total)]
            output.results.print(table(_STATS, (_stats_cells(*each) for each in rows)))
        else:
            output.results.print(table(("what", "says"), _said(figures.entities[entity].model_dump())))
        workers = figures.workers
        silent = f"; {workers.silent} did NOT answer: of these only what they had written down counts"
        output.say(f"{workers.answering} of {workers.of} workers answered{silent if workers.silent else ''}")


def _figures() -> FiguresForm:
    """Raises GatewayzError where nobody can be asked."""
    settings = load_settings()
    directories = [settings.run_dir] if settings.run_dir is not None else run_directories(settings.data_dir)
    if not directories:
        raise GatewayzError(
            f"no `gatewayz serve` of this user runs on {str(settings.data_dir)!r}: start it, or name where it keeps "
            "its data by GATEWAYZ_DATA_DIR"
        )
    return with_parts(lambda parts: _asked(parts, directories))


async def _asked(parts: Parts, directories: Sequence[Path]) -> FiguresForm:
    together, census = await asyncio.gather(told_to_strangers(directories), parts.cache.census())
    return figures_of(together, census, has_redis=parts.cache.has_redis)


def _stats_cells(name: str, of: EntityForm) -> tuple[str, ...]:
    redis = of.redis
    return (
        name,
        f"{of.reads:,}",
        "" if of.hit_rate is None else f"{100 * of.hit_rate:.1f} %",
        f"{of.memory.hits:,}",
        f"{redis.hits:,}" if redis is not None else "none",
        f"{of.stale:,}",
        f"{of.misses - of.collapsed:,}",
        f"{of.collapsed:,}",
        "" if of.source.mean_seconds is None else f"{1000 * of.source.mean_seconds:.1f} ms",
        "" if of.memory.age.mean is None else f"{of.memory.age.mean:,.0f} s",
        f"{of.memory.entries or 0:,}",
        f"{(of.memory.bytes or 0) / 1024:,.0f}",
        f"~{redis.entries:,}" if redis is not None and redis.entries is not None else "",
        f"~{redis.bytes / 1024:,.0f}" if redis is not None and redis.bytes is not None else "",
        f"{of.saved_seconds:,.1f} s" + (f", ${of.saved_usd}" if float(of.saved_usd) else ""),
    )


def _said(form: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in form.items():
        if isinstance(value, dict):
            yield from _said(value, f"{within}{name}.")
        else:
            yield (
                f"{within}{name}",
                "unknown" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value),
            )
