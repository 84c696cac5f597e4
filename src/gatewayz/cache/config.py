"""Settings of the cache."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from gatewayz.cache.redis_url import redis_url


def _redis(url: SecretStr) -> SecretStr:
    redis_url(url.get_secret_value())
    return url


class CacheConfig(BaseModel):
    enabled: bool = Field(default=True, description="Off: every read goes to its source.")
    warm_on_startup: bool = Field(
        default=True, description="Load the catalog before traffic is welcome, then open connections to providers."
    )
    ttl: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="Seconds for which an entity is fresh, by entity: CACHE__TTL__MODELS_UNIQUE for models:unique.",
    )
    learned_ttl: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=dict,
        description="Share of reads that shall be right, by entity: CACHE__LEARNED_TTL__MODELS_UNIQUE=0.99 keeps "
        "models:unique for as long as its refreshes teach. Unset: what they teach is only told.",
    )
    l1_max_bytes: int = Field(
        64 * 1024 * 1024, ge=0, description="Bytes of memory, estimated, for what each worker keeps."
    )
    l1_max_entries: int = Field(10_000, ge=0, description="Entries each worker keeps.")
    sampler_rate: float = Field(
        0.5,
        ge=0,
        le=100,
        description="Checks a second, at most, in which each worker compares what it and Redis hold with the database. "
        "0: none.",
    )
    redis_url: Annotated[SecretStr, AfterValidator(_redis)] | None = Field(
        None,
        description="redis://, rediss:// (certificates are checked) or unix:// URL; redis+cluster:// with a few of the "
        "servers, or redis+sentinel:// with the Sentinels and the service (rediss+… with TLS). "
        "Unset: the gateway starts a Redis of its own, if it can.",
    )
    redis_host: str | None = Field(None, description="Instead of the URL, with redis_port and redis_db.")
    redis_port: int = Field(6379, ge=1, le=65535, description="Used with redis_host.")
    redis_db: int = Field(0, ge=0, description="Used with redis_host.")
    redis_password: SecretStr | None = Field(None, description="Used with redis_host, or with a URL that has none.")
    redis_max_connections: int = Field(32, ge=1, description="Connections each worker may hold.")
    redis_socket_timeout: float = Field(0.25, gt=0, description="Seconds a Redis command may take.")
    redis_socket_connect_timeout: float = Field(0.05, gt=0, description="Seconds to wait for a connection to Redis.")
