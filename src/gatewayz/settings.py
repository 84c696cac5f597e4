"""Every setting, read once at start from the environment and `.env`, made of each package's own config."""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from dotenv import dotenv_values
from msgspec import Struct
from pydantic import BaseModel, Field, IPvAnyNetwork, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gatewayz.accounts.config import AccountsConfig
from gatewayz.api.config import CorsConfig, DrainConfig
from gatewayz.cache.config import CacheConfig
from gatewayz.catalog.config import CatalogConfig
from gatewayz.core.errors import GatewayzError
from gatewayz.credits.config import CreditsConfig
from gatewayz.health.config import HealthConfig
from gatewayz.idempotency.config import IdempotencyConfig
from gatewayz.inference.config import InferenceConfig
from gatewayz.limits.config import LimitsConfig
from gatewayz.providers.config import ConfiguredProvider, ProviderSettings, configured_providers
from gatewayz.providers.table import PROVIDERS
from gatewayz.responses.config import ResponsesConfig
from gatewayz.storage.config import StorageConfig
from gatewayz.telemetry.config import LogConfig, TracesConfig

PREFIX = "GATEWAYZ_"
DOTENV = Path(".env")
MASK = "***"

# Names that other software uses for the same thing, read as well. The prefixed name wins.
WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "DATABASE_URL": ("storage", "database_url"),
    "REDIS_URL": ("cache", "redis_url"),
    "REDIS_PASSWORD": ("cache", "redis_password"),
    "REDIS_HOST": ("cache", "redis_host"),
    "REDIS_PORT": ("cache", "redis_port"),
    "REDIS_DB": ("cache", "redis_db"),
    "REDIS_MAX_CONNECTIONS": ("cache", "redis_max_connections"),
    "REDIS_SOCKET_TIMEOUT": ("cache", "redis_socket_timeout"),
    "REDIS_SOCKET_CONNECT_TIMEOUT": ("cache", "redis_socket_connect_timeout"),
    "MODEL_CACHE_TTL": ("cache", "ttl", "models_catalog_full"),
    "MODEL_CACHE_ENABLED": ("cache", "enabled"),
    "MODEL_CACHE_WARM_ON_STARTUP": ("cache", "warm_on_startup"),
}


class SettingsInvalid(GatewayzError):
    """A setting is unknown or its value is not allowed. The message has a line for each."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_file=DOTENV, extra="ignore", hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=256, description="Worker processes.")
    data_dir: Path = Field(
        Path(".gatewayz"), description="Where the embedded servers keep their data, and the installation its secret."
    )
    run_dir: Path | None = Field(
        None,
        description="Where the workers of one `gatewayz serve` find each other, and theirs alone. Unset: made in the "
        "data directory by each serve, and removed at its end.",
    )
    admin_key: SecretStr | None = Field(
        None, min_length=8, max_length=256, description="The admin key. Unset: made and printed at the first start."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Keys the digests of API keys, and seals accounts' own provider keys. Unset: made in the data "
        "directory; set it to run several hosts.",
    )
    former_secret_key: SecretStr | None = Field(
        None,
        description="The one before, or what the file `secret` held: opens accounts' own provider keys that it has "
        "sealed, until `gatewayz accounts provider-keys reseal`. API keys are known by the present one only.",
    )
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Bytes a request body may have.")
    trusted_proxies: list[IPvAnyNetwork] = Field(
        default_factory=list,
        description='Networks of proxies of ours, as ["10.0.0.0/8"]: what they say in X-Forwarded-For is believed, for '
        "the networks that a key may be used from.",
    )
    demo: bool | None = Field(
        None, description="The built-in provider `demo`. Unset: on with the embedded database, else off."
    )
    drain: DrainConfig = DrainConfig()
    cors: CorsConfig = CorsConfig()
    storage: StorageConfig = StorageConfig()
    cache: CacheConfig = CacheConfig()
    catalog: CatalogConfig = CatalogConfig()
    accounts: AccountsConfig = AccountsConfig()
    limits: LimitsConfig = LimitsConfig()
    idempotency: IdempotencyConfig = IdempotencyConfig()
    inference: InferenceConfig = InferenceConfig()
    health: HealthConfig = HealthConfig()
    credits: CreditsConfig = CreditsConfig()
    responses: ResponsesConfig = ResponsesConfig()
    log: LogConfig = LogConfig()
    traces: TracesConfig = TracesConfig()
    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict, description="Providers by slug: PROVIDERS__ACME__BASE_URL, …__API_KEY, …"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the framework's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _WellKnownSource(settings_cls)

    @property
    def is_embedded(self) -> bool:
        return self.storage.database_url is None

    @property
    def has_demo(self) -> bool:
        return self.is_embedded if self.demo is None else self.demo

    def redis_url(self) -> str | None:
        """The URL to use, made of host, port and database where no URL is given. None: no Redis was named."""
        cache = self.cache
        if cache.redis_url is not None:
            return cache.redis_url.get_secret_value()
        if cache.redis_host is not None:
            return f"redis://{cache.redis_host}:{cache.redis_port}/{cache.redis_db}"
        return None

    def configured_providers(self) -> tuple[ConfiguredProvider, ...]:
        return configured_providers(PROVIDERS, self.providers, environment(), demo=self.has_demo)


class _WellKnownSource(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        nested: dict[str, Any] = {}
        found = environment()
        for name, path in WELL_KNOWN.items():
            if name in found:
                level = nested
                for part in path[:-1]:
                    level = level.setdefault(part, {})
                level[path[-1]] = found[name]
        return nested


class Origin(Struct, frozen=True):
    """One setting as it is in force: its variable, its value for people (secrets masked), and where that came from."""

    variable: str
    value: str
    source: str


def load_settings() -> Settings:
    """Raises SettingsInvalid that names every wrong setting."""
    problems = [*_unknown_names()]
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [f"{_variable(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    if problems:
        raise SettingsInvalid("\n".join(problems))
    return settings


def database_url(settings: Settings) -> str:
    """The URL of the database in use. Raises SettingsInvalid where none is named yet."""
    url = settings.storage.database_url
    if url is None:
        raise SettingsInvalid("no database is named; set DATABASE_URL, or let `gatewayz serve` start its own")
    return url.get_secret_value()


def environment() -> dict[str, str]:
    """The process's environment over what `.env` says."""
    return {**_dotenv(), **os.environ}


def origins(settings: Settings) -> Iterator[Origin]:
    """Every setting in force, in the order of declaration."""
    by_path = {path: name for name, path in WELL_KNOWN.items()}
    for path, value in _leaves(settings):
        variable = _variable(path)
        names = [variable, *([by_path[path]] if path in by_path else [])]
        source = next((found for name in names if (found := _source_of(name))), "default")
        yield Origin(variable, _shown(value), source)
    for provider in PROVIDERS:
        for name in (*provider.key_variables, *provider.url_variables.values()):
            if (place := _source_of(name)) is not None:
                yield Origin(name, MASK if name in provider.key_variables else environment()[name], place)


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    return MASK if isinstance(value, SecretStr) else str(value)


def known_variables() -> list[str]:
    """Every variable that can be set, with a placeholder where a name is free."""
    return [_variable(path) for path in _declared(Settings)]


def _leaves(model: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*path, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                inner = (*path, name, key)
                leaves = _leaves(item, inner) if isinstance(item, BaseModel) else [(inner, item)]
                yield from ((path_here, leaf) for path_here, leaf in leaves if leaf is not None)
        else:
            yield (*path, name), value


def _declared(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
            path_here: tuple[str, ...] = (*path, name, "*")
        else:
            path_here = (*path, name)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _declared(kind, path_here)
        else:
            yield path_here


def _unknown_names() -> Iterator[str]:
    declared = list(_declared(Settings))
    known = known_variables()
    for name in sorted(environment()):
        upper = name.upper()
        if upper.startswith(PREFIX) and not any(_fits(upper, path) for path in declared):
            nearest = difflib.get_close_matches(upper, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else "`gatewayz check-config` lists every setting"
            yield f"{name}: there is no such setting; {hint}"


def _fits(name: str, path: tuple[str, ...]) -> bool:
    parts = name.removeprefix(PREFIX).lower().split("__")
    return len(parts) == len(path) and all(wanted in ("*", part) for part, wanted in zip(parts, path, strict=True))


def _variable(path: Iterator[str] | tuple[str, ...]) -> str:
    return PREFIX + "__".join(path).upper()


def _source_of(name: str) -> str | None:
    for variable in os.environ:
        if variable.upper() == name:
            return f"environment {variable}"
    return f"{DOTENV} {name}" if name in {variable.upper() for variable in _dotenv()} else None


def _dotenv() -> dict[str, str]:
    return {name: value for name, value in dotenv_values(DOTENV).items() if value is not None}
