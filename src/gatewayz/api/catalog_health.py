"""Health as the catalog's answers tell it: as the cache has it, so that they stay the same for as long."""

from typing import Protocol

from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import LoadFailed
from gatewayz.health.model import State
from gatewayz.health.repository import MODELS, PROVIDERS
from gatewayz.health.told import Fared, ModelsHealth, ProvidersHealth

_NOTHING = Fared(status=State.UNKNOWN, reason="nothing was heard of it")


class Told(Protocol):
    """What may be told in answers. It never changes: what is told later is another one."""

    def status_of(self, provider: str) -> State: ...

    def of_model(self, provider: str, native_id: str) -> Fared: ...


class CatalogHealth:
    """The same object for as long as the cache has the same values."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._told = _Told(None, None)

    async def told(self) -> Told:
        """Where health cannot be told, all is unknown: the catalog does not depend on it."""
        try:
            providers, models = await self._cache.get(PROVIDERS), await self._cache.get(MODELS)
        except LoadFailed:
            providers = models = None
        if providers is not self._told.providers or models is not self._told.models:
            self._told = _Told(providers, models)
        return self._told


class _Told:
    def __init__(self, providers: ProvidersHealth | None, models: ModelsHealth | None) -> None:
        self.providers = providers
        self.models = models
        listed = providers.providers if providers is not None else ()
        self._states = {each.provider: each.status for each in listed}
        known = models.models if models is not None else ()
        self._models = {(each.provider, each.provider_model_id): each for each in known}

    def status_of(self, provider: str) -> State:
        return self._states.get(provider, State.UNKNOWN)

    def of_model(self, provider: str, native_id: str) -> Fared:
        return self._models.get((provider, native_id), _NOTHING)
