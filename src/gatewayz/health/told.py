"""What is told of health, in values that the cache keeps. What is for strangers does not say how much is asked."""

from msgspec import Struct

from gatewayz.health.model import State


class Times(Struct, frozen=True):
    """Seconds."""

    p50: float
    p95: float


class ByState(Struct, frozen=True):
    """How many."""

    healthy: int = 0
    degraded: int = 0
    down: int = 0
    unknown: int = 0


class Fared(Struct, frozen=True, kw_only=True):
    """`since`: a Unix time. `failure_rate`: the moving share of failures by which the status is judged. The rest is of
    the last half hour: `uptime` the share of requests that did not fail, `latency` until an answer began, `first_token`
    of streams alone. None where nothing is known.
    """

    status: State
    reason: str
    since: float | None = None
    failure_rate: float | None = None
    uptime: float | None = None
    latency: Times | None = None
    first_token: Times | None = None


class ProviderHealth(Fared, frozen=True, kw_only=True):
    """Of one that may be asked. `models`: those of its models of which something was heard lately."""

    provider: str
    name: str
    models: ByState


class ModelHealth(Fared, frozen=True, kw_only=True):
    """Of one provider's model, by the name that the provider has for it."""

    provider: str
    provider_model_id: str


class ProvidersHealth(Struct, frozen=True, kw_only=True):
    """`is_shared`: as all workers together see it, and not only the one that tells."""

    told_at: float
    is_shared: bool
    providers: tuple[ProviderHealth, ...]


class ModelsHealth(Struct, frozen=True, kw_only=True):
    """Of what something was heard of lately. Any other model is unknown."""

    told_at: float
    is_shared: bool
    models: tuple[ModelHealth, ...]


class GatewayHealth(Struct, frozen=True, kw_only=True):
    gateway: str
    name: str
    is_configured: bool
    status: State
    since: float | None


class GatewaysHealth(Struct, frozen=True, kw_only=True):
    """Every provider that there is, configured or not."""

    told_at: float
    gateways: tuple[GatewayHealth, ...]


class Summary(Struct, frozen=True, kw_only=True):
    """`status`: healthy or down where all providers are of which anything is known, unknown where that is none."""

    told_at: float
    is_shared: bool
    status: State
    providers: ByState
    models: ByState
    uptime: float | None


class Component(Struct, frozen=True, kw_only=True):
    name: str
    status: State
    reason: str | None = None


class CacheHealth(Struct, frozen=True, kw_only=True):
    """Of the worker that tells. `redis`: closed while Redis is asked, open or half_open while it is not, none without.
    `unsent`: invalidations that not all have confirmed. `checks`, `violations`: of the sampler; None where it is off.
    """

    redis: str
    hears_invalidations: bool
    unsent: int
    checks: int | None
    violations: int | None


class CatalogHealth(Struct, frozen=True, kw_only=True):
    """`changed_at`: the Unix time of the last sync that changed anything."""

    models: int
    version: str
    changed_at: float | None


class WorkersHealth(Struct, frozen=True):
    """Of the `gatewayz serve` of which one tells."""

    answering: int
    silent: int


class SystemHealth(Struct, frozen=True, kw_only=True):
    """`told_by`: host and process id of the worker."""

    told_at: float
    told_by: str
    status: State
    components: tuple[Component, ...]
    cache: CacheHealth
    catalog: CatalogHealth | None
    workers: WorkersHealth
    is_shared: bool


class Traffic(Struct, frozen=True, kw_only=True):
    """Of the last half hour. `heard_at`: the Unix time of the last request or probe."""

    provider: str
    requests: int
    failures: int
    heard_at: float


class Dashboard(Struct, frozen=True, kw_only=True):
    """All for operators in one. `unwell`: degraded and down models, as many as fit a page."""

    summary: Summary
    system: SystemHealth
    providers: tuple[ProviderHealth, ...]
    traffic: tuple[Traffic, ...]
    unwell: tuple[ModelHealth, ...]
