"""`gatewayz keys`: create, list, set, rotate, revoke."""

from typing import Annotated

import typer
from rich.table import Column, Table

from gatewayz.accounts.keys import KeyTerms
from gatewayz.accounts.limit_names import LIMIT_NAMES
from gatewayz.accounts.model import ApiKeyRecord, NewApiKey
from gatewayz.accounts.scopes import DEFAULT_SCOPES, SCOPES
from gatewayz.api.admin.forms import dollars, key_form
from gatewayz.cli import terms
from gatewayz.cli.console import Json, Output, Reason, table
from gatewayz.cli.installation import with_parts
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.ids import ApiKeyId
from gatewayz.storage.audit import Act

commands = typer.Typer(
    no_args_is_help=True,
    help="Make, list, change, rotate and revoke API keys. A running gateway goes by a change when the command returns.",
)

KeyId = Annotated[str, typer.Argument(help="The key's id, from `gatewayz keys list`: key_…, never the key itself.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        help=f"What it may do, {'; '.join(f'{name}: {what}' for name, what in SCOPES.items())}. May be given again "
        f"[default for a new key: {' and '.join(DEFAULT_SCOPES)}].",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="A model it may ask for, such as openai/gpt-4o or openai/*. May be given again; any lifts it."
    ),
]
Networks = Annotated[
    list[str] | None,
    typer.Option(
        "--network", help="From where it may be used, such as 192.0.2.0/24. May be given again; any lifts it."
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        help=f"Such as requests_per_minute=600. May be given again. {', '.join(LIMIT_NAMES)}; none lifts all.",
    ),
]
Budget = Annotated[
    str | None, typer.Option(help="US dollars that it may spend in each period, such as 25; none lifts it.")
]
BudgetPeriod = Annotated[str | None, typer.Option(help="Of the budget: total, day or month [default: total].")]
Expires = Annotated[str | None, typer.Option(help="When it ends: 12h or 30d from now, 2030-12-31 (UTC), never.")]
UnknownPrices = Annotated[
    bool | None,
    typer.Option("--unknown-prices/--known-prices-only", help="Whether models without a known price are allowed."),
]


@commands.command("create")
def create(
    name: Annotated[str, typer.Option(help="What to call the key.")],
    credits: Annotated[  # noqa: A002  the flag's word
        str, typer.Option(help="US dollars to add to the account, such as 10 or 2.50.")
    ] = "0",
    account: Annotated[str, typer.Option(help="The account that pays; made if it is new.")] = "default",
    environment: Annotated[str, typer.Option(help="live or test: the key begins with gw_live_ or gw_test_.")] = "live",
    scope: Scopes = None,
    model: Models = None,
    network: Networks = None,
    limit: Limits = None,
    budget: Budget = None,
    budget_period: BudgetPeriod = None,
    expires: Expires = None,
    unknown_prices: UnknownPrices = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Make an API key. It is shown once and stored only as a digest.

    gatewayz keys create --name ci --credits 10 --model 'openai/*' --limit requests_per_minute=60 --expires 90d
    """
    output = Output()
    with output.explaining_errors():
        amount = terms.amount("--credits", credits)
        if environment not in ("live", "test"):
            raise InvalidRequest(f"--environment must be live or test, not {environment!r}")
        said = _terms(scope, model, network, limit, budget, budget_period, expires, unknown_prices)
        said["name"] = name
        made = with_parts(
            lambda parts: parts.keys.create(
                account=account,
                credits=amount,
                environment="test" if environment == "test" else "live",
                act=Act("cli", reason),
                **said,
            )
        )
        _show(output, made, as_json=as_json)


@commands.command("list")
def list_keys(as_json: Json = False) -> None:
    """List API keys: ids, names, last four characters, never the keys themselves."""
    output = Output()
    with output.explaining_errors():
        records = with_parts(lambda parts: parts.keys.list_keys()).items
        if as_json:
            output.json([key_form(record).model_dump() for record in records])
        else:
            output.results.print(_table(records))


@commands.command("set")
def change(
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="What to call the key.")] = None,
    scope: Scopes = None,
    model: Models = None,
    network: Networks = None,
    limit: Limits = None,
    budget: Budget = None,
    budget_period: BudgetPeriod = None,
    expires: Expires = None,
    unknown_prices: UnknownPrices = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Change what a key may do. What is not named stays; --model any, --network any, --limit none, --budget none and
    --expires never take away what was set.

    gatewayz keys set key_0a1b… --budget 25 --budget-period month
    """
    output = Output()
    with output.explaining_errors():
        said = _terms(scope, model, network, limit, budget, budget_period, expires, unknown_prices)
        if name is not None:
            said["name"] = name
        if not said:
            raise InvalidRequest("name what is to change, as in --expires 30d; `gatewayz keys set --help` lists it all")
        record = with_parts(lambda parts: parts.keys.change(ApiKeyId(key_id), act=Act("cli", reason), **said))
        if as_json:
            output.json(key_form(record).model_dump())
        else:
            output.say(f"changed {key_id}")


@commands.command("rotate")
def rotate(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the former secret is good as well, such as 90m or 1d.")] = "0",
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret, shown once. Its id, limits and budget stay."""
    output = Output()
    with output.explaining_errors():
        seconds = 0.0 if overlap == "0" else terms.span("--overlap", overlap)
        made = with_parts(lambda parts: parts.keys.rotate(ApiKeyId(key_id), overlap=seconds, act=Act("cli", reason)))
        _show(output, made, as_json=as_json)


@commands.command("revoke")
def revoke(key_id: KeyId, reason: Reason = None) -> None:
    """Revoke an API key, for good: every worker refuses it from now on."""
    output = Output()
    with output.explaining_errors():
        with_parts(lambda parts: parts.keys.revoke(ApiKeyId(key_id), act=Act("cli", reason)))
        output.say(f"revoked {key_id}")


def _terms(
    scope: list[str] | None,
    model: list[str] | None,
    network: list[str] | None,
    limit: list[str] | None,
    budget: str | None,
    budget_period: str | None,
    expires: str | None,
    unknown_prices: bool | None,
) -> KeyTerms:
    said = KeyTerms()
    if scope:
        said["scopes"] = scope
    if model:
        said["models"] = terms.several(model)
    if network:
        said["networks"] = terms.several(network)
    if limit:
        said["limits"] = terms.limits("--limit", limit)
    if budget is not None:
        said["budget"] = terms.amount_or_none("--budget", budget)
    if budget_period is not None:
        said["budget_period"] = budget_period  # type: ignore[typeddict-item]  # checked with all else
    if expires is not None:
        said["expires_at"] = terms.moment("--expires", expires, SystemClock())
    if unknown_prices is not None:
        said["pays_unknown_prices"] = unknown_prices
    return said


def _show(output: Output, made: NewApiKey, *, as_json: bool) -> None:
    record = made.record
    if as_json:
        form = {"id": record.id, "key": made.secret, **key_form(record).model_dump()}
        output.json({**form, "credits_added": dollars(made.credits)})
    else:
        output.say(f"key {record.id} of account {record.account!r}, shown once:")
        output.results.print(made.secret, soft_wrap=True)


def _table(records: tuple[ApiKeyRecord, ...]) -> Table:
    columns = (Column("id", no_wrap=True), "account", "name", "ends in", "scopes", "created", "state")
    now = SystemClock().now()
    return table(columns, (_cells(record, now) for record in records))


def _cells(record: ApiKeyRecord, now: float) -> tuple[str, ...]:
    state = "active"
    if record.revoked_at is not None:
        state = "revoked"
    elif record.expires_at is not None:
        state = "expired" if record.expires_at <= now else f"until {terms.shown(record.expires_at)}"
    return (
        *(record.id, record.account, record.name, record.last_four, ", ".join(record.scopes)),
        *(terms.shown(record.created_at), state),
    )
