"""Runs loaders: in tasks of their own, in a clean context, and turns whatever they do into an outcome."""

import asyncio
import contextvars
from collections.abc import Awaitable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from gatewayz.cache.entity import BatchLoader, Entity, Loaded, NotModified, show_required, show_version
from gatewayz.cache.flight import Flight, mark_loading

V = TypeVar("V")
T = TypeVar("T")


class Outcome(Struct, Generic[V], frozen=True):
    """Either an error, or what the loader said."""

    loaded: Loaded[V] | NotModified | None = None
    error: BaseException | None = None


async def load(
    source: object,
    flights: Sequence[Flight[V]],
    versions: Sequence[str | None],
    *,
    required: int,
    within: float,
) -> list[Outcome[V]]:
    """One outcome for each flight, all of one entity, and loaded by one loader where that is brought. A loader's own
    CancelledError is an error like any other, and so is not to end within so many seconds. `required`: the position
    that the loaders are shown.
    """
    entity = flights[0].entity
    load_many = flights[0].load_many
    if load_many is not None and (len(flights) > 1 or entity.load is None):
        return await _load_batch(source, load_many, flights, required, within)
    tasks = [
        _begin(_call(entity, source, flight.key), [flight], version, required)
        for flight, version in zip(flights, versions, strict=True)
    ]
    await _finish(tasks, within)
    return [_outcome(task, within) for task in tasks]


async def _load_batch(
    source: object, load_many: BatchLoader[Any, V], flights: Sequence[Flight[V]], required: int, within: float
) -> list[Outcome[V]]:
    task = _begin(load_many(source, [flight.key for flight in flights]), flights, None, required)
    await _finish([task], within)
    if (error := _error(task, within)) is not None:
        return [Outcome(error=error) for _ in flights]
    values = task.result()
    return [_outcome_of(values.get(flight.key)) for flight in flights]


async def _call(entity: Entity[Any, V], source: object, key: object) -> V | Loaded[V] | NotModified | None:
    if entity.load is None:
        raise TypeError(f"{entity.name!r} has no loader")
    return await entity.load(source, key)


def _begin(
    coroutine: Awaitable[T], flights: Sequence[Flight[Any]], version: str | None, required: int
) -> asyncio.Task[T]:
    """No tenant and no trace of the caller who happens to be first leaks into the load: the context is
    empty.
    """
    context = contextvars.Context()
    context.run(mark_loading, flights)
    context.run(show_version, version)
    context.run(show_required, required)
    return asyncio.get_running_loop().create_task(_awaited(coroutine), context=context)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _finish(tasks: Sequence[asyncio.Task[Any]], within: float) -> None:
    try:
        await asyncio.wait(tasks, timeout=within)
    finally:
        for task in tasks:
            task.cancel()  # those that are too late, or still run when the cache itself closes


def _error(task: asyncio.Task[Any], within: float) -> BaseException | None:
    if not task.done():
        return TimeoutError(f"the loader did not end within {within:g} s, as its policy's load_within asks")
    if task.cancelled():
        return asyncio.CancelledError("the loader was cancelled from within")
    return task.exception()


def _outcome(task: asyncio.Task[Any], within: float) -> Outcome[Any]:
    if (error := _error(task, within)) is not None:
        return Outcome(error=error)
    return _outcome_of(task.result())


def _outcome_of(said: Any) -> Outcome[Any]:  # noqa: ANN401  whatever the loader said
    if isinstance(said, Exception):
        return Outcome(error=said)
    if isinstance(said, Loaded | NotModified):
        return Outcome(loaded=said)
    return Outcome(loaded=Loaded(value=said))
