"""Writes the reference pages from the declarations that the gateway runs by: `make docs`.

python -m gatewayz.cli.reference docs/reference

The same code gives the same bytes: nothing comes from the environment, the clock or a server.
"""

import inspect
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import typer
from prometheus_client.registry import Collector
from pydantic import BaseModel, IPvAnyNetwork, SecretStr
from pydantic.fields import FieldInfo

from gatewayz.accounts.metrics import AuthenticationCollector
from gatewayz.api.catalog import catalog_routes
from gatewayz.api.control_plane import control_plane
from gatewayz.api.errors import STATUS, ErrorBody, error_body
from gatewayz.api.routes import ControlParts, control_routers
from gatewayz.app import ENTITIES
from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Dependency, Entity
from gatewayz.cache.explanation import has_one_value
from gatewayz.cache.metrics import CacheCollector
from gatewayz.cli.commands import cli
from gatewayz.cli.markdown import code, codes, table
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import ErrorKind, GatewayzError
from gatewayz.credits.metrics import CreditsCollector, CreditsCounts
from gatewayz.health.breakers import Breakers
from gatewayz.health.config import HealthConfig
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.metrics import BreakersCollector, HealthCollector
from gatewayz.inference.metrics import AttemptsCollector, Spent, SpentCollector
from gatewayz.limits.admission import Admission
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.metrics import LimitsCollector
from gatewayz.providers.model import Provider
from gatewayz.providers.prices import Unit
from gatewayz.providers.shapes.form import PriceAt, Shape
from gatewayz.providers.shapes.table import SHAPES
from gatewayz.providers.table import PROVIDERS
from gatewayz.responses.metrics import ResponsesCollector, ResponsesCounts
from gatewayz.settings import PREFIX, WELL_KNOWN, Settings, known_variables
from gatewayz.telemetry.gauges import GAUGES
from gatewayz.telemetry.redis_memory import RedisMemory
from gatewayz.telemetry.requests import Requests, RequestsCollector

_NOTE = "<!-- Written by `make docs` from {source}. Edit there, not here. -->"

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_WORDS = {
    int: "integer",
    float: "number",
    bool: "true or false",
    str: "text",
    SecretStr: "secret",
    Path: "path",
    IPvAnyNetwork: "network",
}

_UNITS = {
    Unit.USD: "US dollars per token",
    Unit.CENTS: "cents per token",
    Unit.USD_PER_THOUSAND: "US dollars per 1,000 tokens",
    Unit.USD_PER_MILLION: "US dollars per 1,000,000 tokens",
    Unit.TEN_THOUSANDTHS_OF_USD_PER_MILLION: "1/10,000 US dollar per 1,000,000 tokens",
}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m gatewayz.cli.reference DIRECTORY")
    write(Path(sys.argv[1]))


def write(directory: Path) -> None:
    """Make the directory hold exactly the reference pages; Markdown files that are none of them go."""
    directory.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in directory.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (directory / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Every page by its file name, README.md first."""
    made = {f"{slug}.md": _page(title, source, body()) for slug, (title, source, body) in _PAGES.items()}
    links = [f"- [{title}]({slug}.md), from {source}" for slug, (title, source, _) in _PAGES.items()]
    intro = ["Each page is written by `make docs` from the declarations it names.", "", *links]
    return {"README.md": _page("Reference", "`src/gatewayz/cli/reference.py`", intro), **made}


def _page(title: str, source: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", _NOTE.format(source=source.replace("`", "")), "", *lines]).rstrip() + "\n"


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────


def _settings() -> Iterable[str]:
    yield "Set them in the environment or in `.env`. `gatewayz check-config` shows each with its value and origin."
    yield "An unknown name that begins with `GATEWAYZ_` stops the start. `*` stands for a name of your choice."
    yield ""
    also: dict[str, list[str]] = {}
    for name, path in WELL_KNOWN.items():
        also.setdefault("__".join(path).upper(), []).append(name)
    groups: dict[tuple[str, str | None], list[Sequence[str]]] = {}
    for variable in known_variables():
        field, group = _declared(variable)
        names = also.get(variable.removeprefix(PREFIX).removesuffix("__*"), [])
        shown = "<br>".join([code(variable), *(f"also {code(name)}" for name in names)])
        row = (shown, _type_text(field), _default_text(field), field.description or "")
        groups.setdefault(group, []).append(row)
    for (name, promise), rows in groups.items():
        yield from (f"## {name}", "", *table(("variable", "type", "default", "what it does"), rows))
        yield from (inspect.cleandoc(promise), "") if promise else ()
    yield "`MODEL_CACHE_TTL` is seconds for the entity `models:catalog:full`. A prefixed name wins over a plain one."
    yield "Providers also read their own key variables: see [providers](providers.md)."


def _declared(variable: str) -> tuple[FieldInfo, tuple[str, str | None]]:
    """The declaration of a variable, the part of the settings it stands in, and what that part promises."""
    model: type[BaseModel] = Settings
    group = "gatewayz"
    field = FieldInfo()
    for part in variable.removeprefix(PREFIX).lower().split("__"):
        if part == "*":
            continue
        field = model.model_fields[part]
        kind = get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            model, group = kind, part
    return field, (group, model.__doc__)


def _type_text(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(each, name):,}"
        for each in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(each, name, None) is not None
    ]
    kind = get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field.annotation
    return " ".join([_annotation_text(kind), ", ".join(bounds)]).strip()


def _annotation_text(kind: Any) -> str:  # noqa: ANN401  any annotation
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotation_text(inner[0])
    if origin is Literal:
        return " or ".join(map(code, inner))
    if origin in (Union, UnionType):
        return " or ".join(_annotation_text(each) for each in inner if each is not NoneType)
    if origin is dict:
        return f"JSON object of {_annotation_text(inner[1])}"
    if origin is list:
        return f"list of {_annotation_text(inner[0])}"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)).lower())


def _default_text(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default == {}:
        return ""
    return code(str(default).lower() if isinstance(default, bool) else default)


# ── Commands ────────────────────────────────────────────────────────────────────────────────────────────


def _commands() -> Iterable[str]:
    yield from (cli.info.help or "", "")
    yield "Words for people go to standard error, results to standard output. The exit code is 0, or 1 on failure."
    yield ""
    yield from _command_group("gatewayz", typer.main.get_command(cli))


def _command_group(name: str, command: Any) -> Iterable[str]:  # noqa: ANN401  typer does not export its command types
    below = getattr(command, "commands", None)
    if below is not None:
        if command.invoke_without_command:
            yield from _command(name, command)
        for part, each in below.items():
            yield from _command_group(f"{name} {part}", each)
        return
    yield from _command(name, command)


def _command(name: str, command: Any) -> Iterable[str]:  # noqa: ANN401  as above
    yield from (f"## `{name}`", "", command.help or "", "")
    rows = [(_parameter_name(each), each.help or "") for each in command.params if each.name != "help"]
    if rows:
        yield from table(("option or argument", "what it does"), rows)


def _parameter_name(parameter: Any) -> str:  # noqa: ANN401  as above
    if not parameter.opts[0].startswith("-"):
        return code(parameter.name.upper() + (" …" if parameter.nargs == -1 else ""))
    required = " (required)" if parameter.required else ""
    return code(parameter.opts[0] + ("" if parameter.is_flag else f" {parameter.name.upper()}")) + required


# ── HTTP API ────────────────────────────────────────────────────────────────────────────────────────────


def _http_api() -> Iterable[str]:
    yield "The running gateway serves the same as an OpenAPI document at `/openapi.json`, for people at `/docs`."
    yield "Catalog and health routes need no key. Errors are in [OpenAI's form](errors.md)."
    yield "Every answer carries `x-request-id`; a sane one that the client sends is kept."
    yield ""
    unasked: Any = None
    control = ControlParts(
        cache=unasked,
        callers=unasked,
        keys=unasked,
        accounts=unasked,
        plans=unasked,
        provider_keys=unasked,
        effective_limits=unasked,
        audit=unasked,
        jobs=unasked,
        credits=unasked,
        ledger=unasked,
        providers=unasked,
        outbox=unasked,
        metrics=unasked,
        siblings=unasked,
    )
    app = control_plane(control_routers(control), catalog_routes(frozenset()))
    operations: list[tuple[list[str], Mapping[str, Any]]] = []
    document = app.openapi()
    forms = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = f"{method.upper()} {path}"
            same = next((paths for paths, known in operations if known == operation), None)
            if same is None:
                operations.append(([shown], operation))
            else:
                same.append(shown)
    for paths, operation in operations:
        yield from _operation(paths, operation, forms)
    yield from ("## `GET /metrics`", "", "See [metrics](metrics.md).")


def _operation(paths: Sequence[str], operation: Mapping[str, Any], forms: Mapping[str, Any]) -> Iterable[str]:
    yield from (f"## `{paths[0]}`", "", operation.get("description") or operation["summary"], "")
    if len(paths) > 1:
        yield from (f"The same: {codes(paths[1:])}.", "")
    if "security" in operation:
        which = "the admin key" if operation["tags"] == ["admin"] else "an API key"
        yield from (f"Needs {which}: `Authorization: Bearer gw_live_…`, or `x-api-key`.", "")
    given = [(each, _schema_text(each["schema"])) for each in operation.get("parameters", ())]
    rows = [(code(each["name"]), each["in"], shown, each.get("description", "")) for each, shown in given]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        body = forms[body["$ref"].rpartition("/")[2]]
    if "description" in body:
        yield from (" ".join(body["description"].split()), "")
    for name, schema in body.get("properties", {}).items():
        need = "required" if name in body.get("required", ()) else ""
        words = ". ".join(filter(None, [need, schema.get("description", "")]))
        rows.append((code(name), "body", _schema_text(schema), words))
    if rows:
        yield from table(("parameter", "in", "type", "what it means"), rows)
    if body and body.get("additionalProperties") is not False:
        yield from ("Any other field goes to the provider as it came.", "")
    yield f"Statuses: {codes(sorted(operation['responses']))}."
    yield ""


def _schema_text(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_schema_text, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_schema_text(schema['items'])}"
    if "$ref" in schema:
        return "object"
    parts = [" or ".join(map(code, schema["enum"])) if "enum" in schema else str(schema.get("type", "any"))]
    if "minimum" in schema:
        parts.append(f"≥ {schema['minimum']:,}")
    if "maximum" in schema:
        parts.append(f"≤ {schema['maximum']:,}")
    if "default" in schema:
        parts.append(f"default {code(msgspec.json.encode(schema['default']).decode())}")
    return ", ".join(parts)


# ── Cached entities ─────────────────────────────────────────────────────────────────────────────────────


def _entities() -> Iterable[str]:
    yield "Times are seconds. *fresh*: served without question. *stale*: kept beyond that, served while a new value is"
    yield 'loaded, never after an invalidation. *absent*: how long the answer "there is none" is remembered.'
    yield "`GATEWAYZ_CACHE__TTL__MODELS_UNIQUE` sets *fresh* of `models:unique`, and so on, `:` written as `_`."
    yield "In Redis a key begins with `gw:{fingerprint of the value shapes}:`, so that no build reads another's shapes."
    yield ""
    times = ("fresh", "stale", "absent", "refreshed at", "asks Redis again")
    head = ("entity", "Redis key", "value", *times, "hangs on", "filled from")
    entities: Sequence[Entity[Any, Any]] = ENTITIES
    yield from table(head, map(_entity_row, entities))
    yield "*Filled from*: a change in these tables, by anyone, invalidates what it concerns: see"
    yield "[changed rows](../explanation/row-changes.md)."
    yield ""
    yield "See [the cache surface](../explanation/cache-surface.md)"
    yield "and [how to add an entity](../how-to/add-a-cached-entity.md)."


def _entity_row(entity: Entity[Any, Any]) -> Sequence[str]:
    policy = entity.policy
    times = (policy.fresh, policy.stale, policy.absent, policy.refresh_at, policy.l1_max)
    hangs_on = (each.entity.name if isinstance(each, Dependency) else each.name for each in entity.hangs_on)
    return (
        code(entity.name),
        code(entity.name if has_one_value(entity) else f"{entity.name}:{{key}}"),
        code(_value_text(entity.value)),
        *("" if time is None else f"{time:,g}" for time in times),
        codes(hangs_on),
        codes(table.name for table in entity.filled_from),
    )


def _value_text(kind: Any) -> str:  # noqa: ANN401  any type
    inner = ", ".join("…" if each is ... else _value_text(each) for each in get_args(kind))
    name = getattr(kind, "__name__", str(kind))
    return f"{name}[{inner}]" if inner else name


# ── Providers ───────────────────────────────────────────────────────────────────────────────────────────


def _providers() -> Iterable[str]:
    yield "A provider is on as soon as it has what it needs, unless the last column says otherwise."
    yield "Everything here can be overridden by [settings](settings.md), as `GATEWAYZ_PROVIDERS__GROQ__BASE_URL`."
    yield ""
    head = ("slug", "name", "base URL", "variables it reads", "dialect", "model list", "list shape", "on")
    yield from table(head, map(_provider_row, PROVIDERS))


def _provider_row(provider: Provider) -> Sequence[str]:
    source = provider.listing
    variables = [*provider.key_variables, *provider.url_variables.values()]
    return (
        code(provider.slug),
        provider.name,
        code(provider.base_url) if provider.base_url else "",
        codes(variables),
        provider.dialect,
        code(source.path) if source else ("named in the table" if provider.models else ""),
        _shape_name(source.shape) if source else "",
        _when_on(provider),
    )


def _when_on(provider: Provider) -> str:
    if provider.dialect == "echo":
        return "with the embedded database, or `GATEWAYZ_DEMO=true`"
    if not provider.on_by_default:
        return "when settings name it"
    return "with its key" if provider.needs_key else "always"


def _shape_name(shape: Shape) -> str:
    return next((f"[{name}](list-shapes.md)" for name, each in SHAPES.items() if each is shape), "its own")


def _list_shapes() -> Iterable[str]:
    yield "Where things stand in a provider's model list. One parser reads them all. A setting picks one by its name:"
    yield "`GATEWAYZ_PROVIDERS__ACME__LIST_SHAPE=openrouter`. Where several paths are given, the first that holds a"
    yield "value counts. A price that a list does not give is unknown, which is never zero."
    yield ""
    for name, shape in SHAPES.items():
        users = [provider.slug for provider in PROVIDERS if provider.listing and provider.listing.shape is shape]
        yield from (f"## {name}", "", f"Used by: {codes(users) or 'no provider of the table'}.", "")
        where = [
            ("rows", codes(path or "(the document)" for path in shape.rows)),
            ("id", codes(shape.ids) or "the key of the map"),
            ("context length", codes(shape.context)),
            *((f"price: {field}", _price_text(field, prices)) for field, prices in shape.prices.items()),
        ]
        yield from table(("what", "where"), where)


def _price_text(field: str, prices: Iterable[PriceAt]) -> str:
    piece = "token" if field not in ("image", "request") else field
    return ", ".join(
        f"{code(each.path)}, "
        + (f"a share of {each.share_of}" if each.share_of else _UNITS[each.unit].replace("token", piece))
        for each in prices
    )


# ── Errors ──────────────────────────────────────────────────────────────────────────────────────────────


def _errors() -> Iterable[str]:
    yield 'Every error has OpenAI\'s form: `{"error": {"message", "type", "param", "code"}}`. `message` names the'
    yield "thing and the remedy, `param` the field to blame, or null. Branch on `code`."
    yield ""
    names: dict[ErrorKind, list[str]] = {}
    for error in _own_errors(GatewayzError):
        names.setdefault(error.kind, []).append(error.__name__)
    rows = []
    for kind, status in STATUS.items():
        body = msgspec.json.decode(error_body(GatewayzError("", kind=kind)), type=ErrorBody)
        rows.append((code(kind), str(status), code(body.error.type), codes(sorted(names.get(kind, ())))))
    yield from table(("code", "status", "type", "raised as"), rows)


def _own_errors(error: type[GatewayzError]) -> Iterable[type[GatewayzError]]:
    """The class and those below it that belong to the gateway: a test may have made more."""
    if error.__module__.startswith("gatewayz."):
        yield error
        for below in error.__subclasses__():
            yield from _own_errors(below)


# ── Metrics ─────────────────────────────────────────────────────────────────────────────────────────────


def _metrics() -> Iterable[str]:
    yield "`GET /metrics` in Prometheus's text form, of all workers of the `gatewayz serve` that answers together:"
    yield "counters and histograms added, gauges as the last but one column says. No label holds a key or a user."
    yield "Beside these stand `gatewayz_workers`, which counts workers that answered and those that were silent, and"
    yield "`prometheus-client`'s own `process_*` figures, where the platform has them, each worker's by itself."
    yield ""
    rows = []
    for metric in chain.from_iterable(each.collect() for each in collectors()):
        suffix = "_total" if metric.type == "counter" else ""
        # prometheus-client keeps the label names of a family without samples nowhere else.
        labels = getattr(metric, "_labelnames", ())
        rule = GAUGES[metric.name].value if metric.type == "gauge" else "sum"
        rows.append((code(metric.name + suffix), metric.type, codes(labels), rule, metric.documentation))
    yield from table(("metric", "type", "labels", "of several workers", "what it counts"), rows)


def collectors() -> Iterable[Collector]:
    """Of parts that nobody uses."""
    clock = SystemClock()
    yield CacheCollector(Cache(ENTITIES, None, clock=clock, rng=random.Random(0)))  # noqa: S311  it spreads nothing
    yield CreditsCollector(CreditsCounts)
    yield AuthenticationCollector(Counter())
    yield LimitsCollector(Admission(None, LocalLimits(clock, share=1, lease=1)))
    yield AttemptsCollector(Counter, Counter)
    yield BreakersCollector(Breakers(None, clock, HealthConfig(), prefix=""), ())
    yield HealthCollector(FleetHealth(None, clock, HealthConfig(), prefix=""), ())
    yield ResponsesCollector(ResponsesCounts(), lambda: 0)
    yield SpentCollector(Spent())
    yield RequestsCollector(Requests())
    yield RedisMemory(_nobody)


async def _nobody() -> tuple[int, int]:
    return 0, 0


_PAGES: Mapping[str, tuple[str, str, Callable[[], Iterable[str]]]] = {
    "settings": ("Settings", "`src/gatewayz/settings.py` and each package's `config.py`", _settings),
    "commands": ("Commands", "`src/gatewayz/cli/`", _commands),
    "http-api": ("HTTP API", "`src/gatewayz/api/`", _http_api),
    "errors": ("Errors", "`src/gatewayz/core/errors.py` and `src/gatewayz/api/errors.py`", _errors),
    "cached-entities": ("Cached entities", "each feature's `repository.py`", _entities),
    "metrics": ("Metrics", "each package's `metrics.py`", _metrics),
    "providers": ("Providers", "`src/gatewayz/providers/table.py`", _providers),
    "list-shapes": ("Model list shapes", "`src/gatewayz/providers/shapes/table.py`", _list_shapes),
}


if __name__ == "__main__":
    main()
