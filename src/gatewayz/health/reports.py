"""Makes what is told of health out of what is known of it: the source of the cached entities."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from gatewayz.core.clock import Clock
from gatewayz.core.errors import Unavailable
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.model import Counts, Figures, State, percentile
from gatewayz.health.told import (
    ByState,
    Dashboard,
    GatewayHealth,
    GatewaysHealth,
    ModelHealth,
    ModelsHealth,
    ProviderHealth,
    ProvidersHealth,
    Summary,
    SystemHealth,
    Times,
    Traffic,
)
from gatewayz.providers.config import ConfiguredProvider

MOST_UNWELL = 50
_UNWELL = (State.DEGRADED, State.DOWN)

LookAtSystem = Callable[[], Awaitable[SystemHealth]]


class Reports:
    """`providers`: all that there are, configured or not."""

    def __init__(self, health: FleetHealth, providers: Collection[ConfiguredProvider], clock: Clock) -> None:
        self._health = health
        self._providers = providers
        self._clock = clock
        self._look_at_system: LookAtSystem | None = None

    def tell_of_system_by(self, look: LookAtSystem) -> None:
        """How the system is known once a worker has all its parts."""
        self._look_at_system = look

    async def system(self) -> SystemHealth:
        """Raises Unavailable in a process that is no worker."""
        if self._look_at_system is None:
            raise Unavailable("how the system is only a worker can tell: ask a running gateway")
        return await self._look_at_system()

    async def providers(self) -> ProvidersHealth:
        await self._health.catch_up()
        models = self._model_states()
        told = (self._provider(each, models) for each in self._providers if each.enabled)
        return ProvidersHealth(told_at=self._clock.now(), is_shared=self._health.is_shared, providers=tuple(told))

    async def models(self) -> ModelsHealth:
        await self._health.catch_up()
        told = tuple(self._model(name) for name in sorted(self._names_of_models()))
        return ModelsHealth(told_at=self._clock.now(), is_shared=self._health.is_shared, models=told)

    async def gateways(self) -> GatewaysHealth:
        await self._health.catch_up()
        return GatewaysHealth(told_at=self._clock.now(), gateways=tuple(map(self._gateway, self._providers)))

    async def summary(self) -> Summary:
        await self._health.catch_up()
        slugs = [each.provider.slug for each in self._providers if each.enabled]
        providers = _by_state(self._health.state_of(slug) for slug in slugs)
        now = self._clock.now()
        lately = [figures.lately(now) for slug in slugs if (figures := self._health.figures_of(slug)) is not None]
        return Summary(
            told_at=now,
            is_shared=self._health.is_shared,
            status=_of_all(providers),
            providers=providers,
            models=_by_state(state for _, state in self._model_states()),
            uptime=_uptime(sum(each.requests for each in lately), sum(each.failures for each in lately)),
        )

    async def dashboard(self) -> Dashboard:
        models = (await self.models()).models
        unwell = sorted(
            (each for each in models if each.status in _UNWELL), key=lambda each: each.status is not State.DOWN
        )
        return Dashboard(
            summary=await self.summary(),
            system=await self.system(),
            providers=(await self.providers()).providers,
            traffic=tuple(self._traffic()),
            unwell=tuple(unwell[:MOST_UNWELL]),
        )

    def _names_of_models(self) -> Iterable[str]:
        return (name for name in self._health.names() if "/" in name)

    def _model_states(self) -> list[tuple[str, State]]:
        """By the provider's slug."""
        return [(name.partition("/")[0], self._health.state_of(name)) for name in self._names_of_models()]

    def _provider(self, configured: ConfiguredProvider, models: Iterable[tuple[str, State]]) -> ProviderHealth:
        provider = configured.provider
        return ProviderHealth(
            provider=provider.slug,
            name=provider.name,
            models=_by_state(state for slug, state in models if slug == provider.slug),
            **self._fared(provider.slug),
        )

    def _model(self, name: str) -> ModelHealth:
        provider, _, native_id = name.partition("/")
        return ModelHealth(provider=provider, provider_model_id=native_id, **self._fared(name))

    def _gateway(self, configured: ConfiguredProvider) -> GatewayHealth:
        provider, verdict = configured.provider, self._health.verdict_of(configured.provider.slug)
        return GatewayHealth(
            gateway=provider.slug,
            name=provider.name,
            is_configured=configured.enabled,
            status=verdict.state,
            since=verdict.since,
        )

    def _fared(self, name: str) -> dict[str, Any]:
        verdict, figures = self._health.verdict_of(name), self._health.figures_of(name)
        return {
            "status": verdict.state,
            "reason": verdict.reason,
            "since": verdict.since,
            **({} if figures is None else self._figures(figures)),
        }

    def _figures(self, figures: Figures) -> dict[str, Any]:
        lately = figures.lately(self._clock.now())
        return {
            "failure_rate": round(figures.failure_rate, 4),
            "uptime": _uptime(lately.requests, lately.failures),
            "latency": _times(lately.latency),
            "first_token": _times(lately.first_token),
        }

    def _traffic(self) -> Iterable[Traffic]:
        for each in self._providers:
            figures = self._health.figures_of(each.provider.slug)
            if figures is not None:
                lately = figures.lately(self._clock.now())
                yield Traffic(
                    provider=each.provider.slug,
                    requests=lately.requests,
                    failures=lately.failures,
                    heard_at=figures.at,
                )


def _by_state(states: Iterable[State]) -> ByState:
    count = Counter(states)
    return ByState(**{state.value: count[state] for state in State})


def _of_all(providers: ByState) -> State:
    known = providers.healthy + providers.degraded + providers.down
    if not known:
        return State.UNKNOWN
    if providers.down == known:
        return State.DOWN
    return State.HEALTHY if providers.healthy == known else State.DEGRADED


def _uptime(requests: int, failures: int) -> float | None:
    return round(1 - min(1.0, failures / requests), 4) if requests else None


def _times(counts: Counts) -> Times | None:
    middle, most = percentile(counts, 0.5), percentile(counts, 0.95)
    return None if middle is None or most is None else Times(middle, most)
