"""What the cache does, as it is written in JSON, for the admin API and for commands."""

from typing import Literal

from pydantic import Field

from gatewayz.api.admin.forms import Form


class AgeForm(Form):
    """Seconds since the load of values when they were served. Of memory one in 64 hits is looked at, of Redis each."""

    seen: int
    mean: float | None


class TierForm(Form):
    """Reads that came to this tier, by how it answered. `negative`: with an absence that it remembers."""

    hits: int
    stale: int
    negative: int
    misses: int
    hit_rate: float | None
    entries: int | None = Field(description="Of Redis an estimate; null where that is not known.")
    bytes: int | None = Field(description="Estimated. Of Redis null where that is not known.")
    age: AgeForm


class SourceForm(Form):
    """`seconds`: of all loads together."""

    loads: int
    load_errors: int
    seconds: float
    mean_seconds: float | None


class EntityForm(Form):
    """Each read counts once: as a hit of a tier (`stale` and `negative` among them), or as a miss: it waited for the
    source, `collapsed` ones for a load that another had begun.
    """

    reads: int
    hits: int
    misses: int
    stale: int
    collapsed: int
    negative: int
    bypassed: int
    errors: int
    hit_rate: float | None
    memory: TierForm
    redis: TierForm | None = Field(description="null where there is no Redis.")
    source: SourceForm
    refreshes: int
    invalidations: int
    evictions: int
    oversized: int
    refused_fills: int
    fresh_seconds: float | None
    learned_seconds: float | None
    saved_seconds: float
    saved_usd: str
    saved_is: Literal["measured", "estimated"] = Field(
        description="Answers say themselves what they took and cost. Elsewhere: hits times the mean time of a load."
    )


class WorkersForm(Form):
    """Of one `gatewayz serve`. Of a silent one only what it had written down before counts, some seconds old."""

    answering: int
    silent: int
    of: int


class RedisForm(Form):
    """`breaker`: how many workers have it in which state. `keys`: all that the servers hold, of whomever, which is
    exact; null where Redis does not answer. `drawn`: from so many the entities' entries and bytes are estimated.
    """

    breaker: dict[str, int]
    errors: dict[str, int]
    keys: int | None
    drawn: int
    memory_bytes: int | None
    memory_limit_bytes: int | None


class InvalidationsForm(Form):
    """`hears_others`: those of other workers arrive in all that answer. `unsent`: Redis has not heard of these yet."""

    count: int
    mean_seconds: float | None
    hears_others: bool
    losses: int
    unsent: int


class ConsistencyForm(Form):
    """What comparing the tiers with the source found. `nines`: by seconds after an invalidation."""

    checks: int
    violations: int
    nines: dict[str, float]


class FiguresForm(Form):
    """Since the start of `gatewayz serve`, of all its workers together."""

    workers: WorkersForm
    total: EntityForm
    entities: dict[str, EntityForm]
    redis: RedisForm | None
    invalidations: InvalidationsForm
    consistency: ConsistencyForm


class StatsForm(FiguresForm):
    """Since the start of `gatewayz serve`, of all its workers together. `worker`: the process that answers."""

    worker: int


class NowForm(Form):
    """Reads of the last minute, or of the time since the start if that is less."""

    reads: int
    hits: int
    hit_rate: float | None


class WorkerForm(Form):
    """`fill`: which share of its bounds, by entries or by bytes, its memory is full. `breaker`: of its Redis, or none.
    `hears_others`: invalidations of other workers arrive.
    """

    worker: int
    entries: int
    bytes: int
    fill: float
    breaker: str
    hears_others: bool
    unsent_invalidations: int
    now: NowForm


class RedisReachForm(Form):
    """`reason`: why not."""

    is_reachable: bool
    reason: str | None


class CacheStatusForm(Form):
    """`status`: ok, or degraded for the `remarks`. `fill`: of the worker whose memory is the fullest. `redis` is null
    where there is none. `outbox`: changes of rows that not all caches have heard of yet; null where the database does
    not tell.
    """

    status: Literal["ok", "degraded"]
    remarks: list[str]
    workers: WorkersForm
    now: NowForm
    fill: float
    redis: RedisReachForm | None
    consistency: ConsistencyForm
    outbox: int | None
    by_worker: list[WorkerForm]
