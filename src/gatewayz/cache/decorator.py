"""Cached functions: a query that reads like a query and is cached like an entity."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import msgspec

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Loaded, NotModified

P = ParamSpec("P")
V = TypeVar("V")


class CachedFunction(Generic[P, V]):
    """Called with the cache where the function takes its source. Give `entity` to the cache, like any
    other.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Any, P], Awaitable[V | Loaded[V] | NotModified | None]],
        entity: Entity[Any, V],
        key: Callable[P, str],
    ) -> None:
        functools.update_wrapper(self, function)
        self._signature = inspect.signature(function)

        def load(source: object, arguments: tuple[Any, ...]) -> Awaitable[V | Loaded[V] | NotModified | None]:
            said: Awaitable[V | Loaded[V] | NotModified | None] = self._call(function, source, arguments)
            return said

        self.entity: Entity[tuple[Any, ...], V] = msgspec.structs.replace(
            entity,
            load=load,
            key_text=lambda arguments: self._call(lambda _, *a, **k: key(*a, **k), None, arguments),
        )

    async def __call__(self, cache: Cache, /, *args: P.args, **kwargs: P.kwargs) -> V | None:
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        arguments = tuple(bound.arguments.values())[1:]
        return await cache.get(self.entity, arguments)

    def _call(self, function: Callable[..., Any], source: object, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
        """Arguments were bound by position in the order of the signature; keyword-only ones go back by
        name.
        """
        args: list[Any] = [source]
        kwargs: dict[str, Any] = {}
        parameters = list(self._signature.parameters.values())[1:]
        for parameter, argument in zip(parameters, arguments, strict=True):
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = argument
            else:
                args.append(argument)
        return function(*args, **kwargs)


def cached(
    entity: Entity[Any, V], *, key: Callable[P, str]
) -> Callable[
    [Callable[Concatenate[Any, P], Awaitable[V | Loaded[V] | NotModified | None]]],
    CachedFunction[P, V],
]:
    """Make `function(source, …)` the loader of `entity` and cache it by `key(…)`, which takes the same
    arguments.

        @cached(CHEAPEST, key=lambda modality, limit=10: f"{modality}:{limit}")
        async def cheapest(pool: Pool, modality: str, limit: int = 10) -> Models: ...

        await cheapest(cache, "text")        # and cheapest.entity among the cache's entities

    Arguments must be hashable, and there must be no `*args` or `**kwargs`: raises TypeError.
    """

    def decorate(
        function: Callable[Concatenate[Any, P], Awaitable[V | Loaded[V] | NotModified | None]],
    ) -> CachedFunction[P, V]:
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
                raise TypeError(f"{function!r} cannot be cached: name the parameters that {parameter.name!r} collects")
        return CachedFunction(function, entity, key)

    return decorate
