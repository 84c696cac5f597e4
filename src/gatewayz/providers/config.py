"""Which providers are on, where, and with which key: the table, changed by settings and the environment."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from gatewayz.providers.dialects.table import DIALECTS
from gatewayz.providers.errors import ProviderMisconfigured
from gatewayz.providers.listing import ListedModel
from gatewayz.providers.model import ListSource, Provider
from gatewayz.providers.parse import read_rows
from gatewayz.providers.shapes.form import Shape
from gatewayz.providers.shapes.table import OPENAI, SHAPES

PREFIX: Final = "GATEWAYZ_PROVIDERS__"

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PLACEHOLDER_VALUE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _list_of_text(value: object) -> object:
    """`a, b` and `["a", "b"]` mean the same, as an environment variable can only hold text."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _known_dialect(name: str) -> str:
    if name not in DIALECTS:
        raise ValueError(f"{name!r} is no dialect; use one of {', '.join(DIALECTS)}")
    return name


def _object_of_text(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


class ProviderSettings(BaseModel):
    """What settings say of one provider (`GATEWAYZ_PROVIDERS__GROQ__API_KEY`); the rest is as in the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str | None = Field(None, description="Its address, such as https://api.acme.example/v1.")
    api_key: SecretStr | None = Field(None, description="Our key there; goes before the provider's own variable.")
    dialect: Annotated[str, AfterValidator(_known_dialect)] | None = Field(
        None, description="The wire format it speaks. Unset: as in the table, else openai."
    )
    models: Annotated[list[str] | None, BeforeValidator(_list_of_text)] = Field(
        None, description="The ids it offers, separated by commas, instead of a list that is fetched."
    )
    list_url: str | None = Field(None, description="Where its model list is: a path after the address, or a URL.")
    sync_interval: float | None = Field(
        None, ge=60, description="Seconds between syncs of its list. Unset: GATEWAYZ_CATALOG__SYNC_INTERVAL."
    )
    list_shape: str | None = Field(None, description="The shape of that list; the reference names all shapes.")
    enabled: bool | None = Field(None, description="Unset: on as soon as it has what it needs.")
    own_keys_only: bool = Field(
        False,
        description="Whether it is asked for accounts only that have a key of their own there; ours lists models.",
    )
    read_timeout: float | None = Field(
        None, gt=0, description="Seconds that it may take to the first byte of an answer, and between two. Unset: 120."
    )
    headers: Annotated[dict[str, str] | None, BeforeValidator(_object_of_text)] = Field(
        None, description="A JSON object of headers that go with every request. No place for secrets."
    )


class ConfiguredProvider(Struct, frozen=True, kw_only=True):
    """A provider as it will be used. `reason` says in words why it is off. `takes_own_keys`: it can be asked for an
    account that has a key of its own there, be it off for want of ours. `is_listed`: its models stand in the catalog.
    """

    provider: Provider
    api_key: SecretStr | None = None
    enabled: bool
    reason: str = ""
    takes_own_keys: bool = False
    own_keys_only: bool = False

    @property
    def is_listed(self) -> bool:
        return self.enabled or self.own_keys_only


def configured_providers(
    table: Iterable[Provider],
    overrides: Mapping[str, ProviderSettings],
    environ: Mapping[str, str],
    *,
    demo: bool = False,
) -> tuple[ConfiguredProvider, ...]:
    """Every provider of the table in its order, then those that settings alone add, by slug.

    `demo` turns on the built-in provider that needs no account. Raises ProviderMisconfigured, naming the
    setting, for settings that cannot work; a mere absence (no key, no account id) turns a provider off and is
    its `reason`.
    """
    known = tuple(table)
    settings = _by_slug(known, overrides)
    added = sorted(settings.keys() - {provider.slug for provider in known})
    providers = (*known, *(_outsider(slug, settings[slug]) for slug in added))
    return tuple(_configured(provider, settings.get(provider.slug), environ, demo=demo) for provider in providers)


def setting_name(slug: str, field: str) -> str:
    """The environment variable of a provider's field, as `GATEWAYZ_PROVIDERS__GOOGLE_VERTEX__BASE_URL`."""
    return f"{PREFIX}{_variable_form(slug)}__{field.upper()}"


def _variable_form(slug: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", slug.upper())


def _by_slug(table: tuple[Provider, ...], overrides: Mapping[str, ProviderSettings]) -> dict[str, ProviderSettings]:
    slugs = {_variable_form(name): p.slug for p in table for name in (*p.aliases, p.slug)}
    settings: dict[str, ProviderSettings] = {}
    for name, override in overrides.items():
        slug = slugs.get(_variable_form(name), name.strip().lower().replace("_", "-"))
        if _SLUG.fullmatch(slug) is None:
            raise ProviderMisconfigured(f"{PREFIX}{name} names no provider; use letters, digits and '_'")
        if slug in settings:
            raise ProviderMisconfigured(f"{PREFIX}{name} sets provider {slug!r} a second time; keep one name")
        settings[slug] = override
    return settings


def _outsider(slug: str, settings: ProviderSettings) -> Provider:
    if settings.base_url is None:
        raise ProviderMisconfigured(
            f"provider {slug!r} is not in the table and has no address; set {setting_name(slug, 'base_url')}"
        )
    dialect = settings.dialect or "openai"
    habits = DIALECTS[dialect]
    return Provider(
        slug=slug,
        name=slug,
        base_url=settings.base_url,
        dialect=dialect,
        auth=habits.auth,
        headers=habits.headers,
        listing=habits.listing,
        needs_key=False,
    )


def _configured(
    provider: Provider, settings: ProviderSettings | None, environ: Mapping[str, str], *, demo: bool
) -> ConfiguredProvider:
    filled, missing = _filled(provider, settings, environ)
    changed = _overridden(filled, settings) if settings else filled
    api_key = _api_key(changed, settings, environ)
    wanted = settings.enabled if settings else None
    if provider.dialect == "echo" and wanted is None:
        wanted = demo
    own_keys_only = settings is not None and settings.own_keys_only
    reason = _reason_off(changed, settings, wanted=wanted, api_key=api_key, missing=missing)
    if own_keys_only and not reason:
        reason = "is asked with keys of accounts' own only"
    if reason and wanted and reason != "turned off":
        raise ProviderMisconfigured(f"provider {changed.slug!r} is turned on but {reason}")
    with_a_key = _reason_off(changed, settings, wanted=wanted, api_key=api_key or SecretStr("…"), missing=missing)
    return ConfiguredProvider(
        provider=changed,
        api_key=api_key,
        enabled=not reason,
        reason=reason,
        takes_own_keys=not with_a_key,
        own_keys_only=own_keys_only and not with_a_key,
    )


def _reason_off(
    provider: Provider,
    settings: ProviderSettings | None,
    *,
    wanted: bool | None,
    api_key: SecretStr | None,
    missing: str | None,
) -> str:
    """Why it is off, "" where it is on. Whoever gives an address or a key by settings has configured it."""
    if wanted is False:
        return "turned off"
    if missing is not None:
        return f"has no address; set {missing} or {setting_name(provider.slug, 'base_url')}"
    by_address = settings is not None and settings.base_url is not None
    if provider.needs_key and api_key is None and not by_address:
        names = (*provider.key_variables, setting_name(provider.slug, "api_key"))
        return f"has no key; set {' or '.join(names)}"
    if not provider.on_by_default and settings is None:
        return f"is off unless configured; set {setting_name(provider.slug, 'enabled')}=true"
    return ""


def _filled(
    provider: Provider, settings: ProviderSettings | None, environ: Mapping[str, str]
) -> tuple[Provider, str | None]:
    """The provider with the placeholders of its address filled, and the variable missing for it, if any."""
    if not provider.url_variables or (settings is not None and settings.base_url is not None):
        return provider, None
    values: dict[str, str] = {}
    for placeholder, variable in provider.url_variables.items():
        value = environ.get(variable, "").strip()
        if not value:
            return provider, variable
        if _PLACEHOLDER_VALUE.fullmatch(value) is None:
            raise ProviderMisconfigured(f"{variable} is no part of an address: {value!r}; use letters and digits")
        values[placeholder] = value
    listing = provider.listing
    if listing is not None:
        listing = replace(listing, path=_fill(listing.path, values))
    return replace(provider, base_url=_fill(provider.base_url or "", values), listing=listing), None


def _fill(template: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        template = template.replace(f"{{{placeholder}}}", value)
    return template


def _overridden(provider: Provider, settings: ProviderSettings) -> Provider:
    base_url = provider.base_url
    listing = provider.listing
    if settings.base_url is not None:
        base_url = _address(setting_name(provider.slug, "base_url"), settings.base_url).rstrip("/")
        listing = _moved(listing, base_url)
    if settings.list_url is not None or settings.list_shape is not None:
        listing = _list_source(provider.slug, listing, settings)
    models = provider.models
    if settings.models is not None:
        models, listing = _models(provider.slug, settings.models), None
    return replace(
        provider,
        base_url=base_url,
        listing=listing,
        models=models,
        dialect=settings.dialect or provider.dialect,
        headers={**provider.headers, **_headers(provider.slug, settings.headers or {})},
        read_timeout=settings.read_timeout or provider.read_timeout,
    )


def _moved(listing: ListSource | None, base_url: str) -> ListSource | None:
    """A list with an address of its own keeps its path and moves to the host that settings name.

    Else the key meant for that host would still go to the provider's own.
    """
    if listing is None or listing.path.startswith("/"):
        return listing
    old, new = urlsplit(listing.path), urlsplit(base_url)
    return replace(listing, path=urlunsplit((new.scheme, new.netloc, old.path, old.query, "")))


def _list_source(slug: str, listing: ListSource | None, settings: ProviderSettings) -> ListSource:
    source = listing or ListSource(shape=OPENAI, needs_key=False)
    if settings.list_shape is not None:
        source = replace(source, shape=_shape(slug, settings.list_shape), paging=None)
    if settings.list_url is not None:
        name = setting_name(slug, "list_url")
        path = settings.list_url
        source = replace(source, path=path if path.startswith("/") else _address(name, path, query=True))
    return source


def _shape(slug: str, name: str) -> Shape:
    shape = SHAPES.get(name.strip().lower().replace("-", "_"))
    if shape is None:
        raise ProviderMisconfigured(f"{setting_name(slug, 'list_shape')} is {name!r}; use one of {', '.join(SHAPES)}")
    return shape


def _models(slug: str, ids: list[str]) -> tuple[ListedModel, ...]:
    listing = read_rows(slug, OPENAI, ((None, {"id": native_id}) for native_id in ids))
    if listing.refused:
        first = listing.refused[0]
        raise ProviderMisconfigured(
            f"{setting_name(slug, 'models')} has a bad id ({first.reason}: {first.native_id!r}); mend it"
        )
    return listing.models


def _headers(slug: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None or not (value.isascii() and value.isprintable()):
            raise ProviderMisconfigured(f"{setting_name(slug, 'headers')} has a header that cannot be sent: {name!r}")
    return headers


def _address(setting: str, url: str, *, query: bool = False) -> str:
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise ProviderMisconfigured(f"{setting} is no http(s) address; write it as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ProviderMisconfigured(f"{setting} holds credentials; give the key by its own setting")
    if parts.fragment or (parts.query and not query):
        raise ProviderMisconfigured(f"{setting} has a query or a fragment; leave them out")
    return url.strip()


def _api_key(provider: Provider, settings: ProviderSettings | None, environ: Mapping[str, str]) -> SecretStr | None:
    """The key: by settings, else by the first of the provider's own variables that is set."""
    given = settings.api_key.get_secret_value() if settings and settings.api_key else ""
    named = {setting_name(provider.slug, "api_key"): given} | {
        variable: environ.get(variable, "") for variable in provider.key_variables
    }
    for name, raw in named.items():
        if key := raw.strip():
            if not (key.isascii() and key.isprintable()):
                raise ProviderMisconfigured(f"{name} holds characters that no key has; set it anew")
            return SecretStr(key)
    return None
