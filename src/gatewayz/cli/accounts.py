"""`gatewayz accounts`: list, create, set, trial, provider-keys."""

from typing import Annotated

import typer
from rich.table import Table

from gatewayz.accounts.accounts import AccountTerms
from gatewayz.accounts.limit_names import LIMIT_NAMES
from gatewayz.accounts.model import Account, Trial
from gatewayz.api.admin.forms import account_form, trial_form
from gatewayz.app import Parts
from gatewayz.cli import provider_keys, terms
from gatewayz.cli.console import Json, Output, Reason, table
from gatewayz.cli.installation import with_parts
from gatewayz.cli.named_account import Username, named
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import InvalidRequest
from gatewayz.core.money import NanoUsd
from gatewayz.storage.audit import Act

_MOST = 100_000

commands = typer.Typer(
    no_args_is_help=True, help="Make, list, change and suspend accounts, and give them plans and trials."
)
commands.add_typer(provider_keys.commands, name="provider-keys")

Plan = Annotated[str | None, typer.Option(help="Its plan, by id; none.")]
PlanEnds = Annotated[str | None, typer.Option(help="When the plan ends: 30d from now, 2030-12-31 (UTC), never.")]
NextPlan = Annotated[str | None, typer.Option(help="The plan that follows when the plan ends, by id; none.")]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        help=f"Its own, before its plan's: requests_per_minute=600, concurrent=none. May be given again. "
        f"{', '.join(LIMIT_NAMES)}; none for no limits of its own.",
    ),
]
Issuer = Annotated[str | None, typer.Option(help="Who vouches for it, such as https://login.example; with --subject.")]
Subject = Annotated[str | None, typer.Option(help="As whom. Kept as a digest only.")]


@commands.command("list")
def list_accounts(as_json: Json = False) -> None:
    """List accounts."""
    output = Output()
    with output.explaining_errors():
        accounts = with_parts(lambda parts: parts.accounts.list_accounts(limit=_MOST)).items
        if as_json:
            output.json([account_form(account).model_dump() for account in accounts])
        else:
            output.results.print(_table(accounts))


@commands.command("create")
def create(
    username: Annotated[str, typer.Argument(help="What to call the account.")],
    plan: Plan = None,
    plan_ends: PlanEnds = None,
    next_plan: NextPlan = None,
    limit: Limits = None,
    issuer: Issuer = None,
    subject: Subject = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Make an account. `gatewayz keys create --account NAME` gives it a key."""
    output = Output()
    with output.explaining_errors():
        said = _terms(plan, plan_ends, next_plan, limit, issuer, subject)
        said["username"] = username
        account = with_parts(lambda parts: parts.accounts.create(act=Act("cli", reason), **said))
        _show(output, account, "made", as_json=as_json)


@commands.command("set")
def change(
    username: Username,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    suspended: Annotated[
        bool | None, typer.Option("--suspend/--activate", help="Refuse all its keys, or accept them again.")
    ] = None,
    plan: Plan = None,
    plan_ends: PlanEnds = None,
    next_plan: NextPlan = None,
    limit: Limits = None,
    issuer: Issuer = None,
    subject: Subject = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Change an account. What is not named stays.

    gatewayz accounts set acme --plan team --plan-ends 30d --next-plan free
    """
    output = Output()
    with output.explaining_errors():
        said = _terms(plan, plan_ends, next_plan, limit, issuer, subject)
        if name is not None:
            said["username"] = name
        if suspended is not None:
            said["is_active"] = not suspended
        if not said:
            raise InvalidRequest("name what is to change, as in --suspend; `gatewayz accounts set --help` lists it all")

        async def work(parts: Parts) -> Account:
            account_id = await named(parts, username)
            return await parts.accounts.change(account_id, act=Act("cli", reason), **said)

        _show(output, with_parts(work), "changed", as_json=as_json)


@commands.command("trial")
def trial(
    username: Username,
    allowance: Annotated[str, typer.Option(help="US dollars that it may spend in the trial; none ends the trial.")],
    ends: Annotated[str, typer.Option(help="When the trial ends: 14d from now, 2030-12-31 (UTC).")] = "14d",
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Give an account a trial: an allowance that ends. Given again, it changes the trial that there is."""
    output = Output()
    with output.explaining_errors():
        amount = terms.amount_or_none("--allowance", allowance)
        until = terms.moment("--ends", ends, SystemClock())
        if until is None:
            raise InvalidRequest("a trial must end: --ends takes 14d or 2030-12-31, not never")
        act = Act("cli", reason)
        if amount is None:
            with_parts(lambda parts: _end_trial(parts, username, act))
            output.say(f"ended the trial of {username}")
            return
        made = with_parts(lambda parts: _begin_trial(parts, username, amount, until, act))
        if as_json:
            output.json(trial_form(made).model_dump())
        else:
            output.say(f"the trial of {username} ends {terms.shown(made.ends_at)} UTC")


def _terms(
    plan: str | None,
    plan_ends: str | None,
    next_plan: str | None,
    limit: list[str] | None,
    issuer: str | None,
    subject: str | None,
) -> AccountTerms:
    said = AccountTerms()
    if plan is not None:
        said["plan"] = None if plan == terms.NONE else plan
    if plan_ends is not None:
        said["plan_ends_at"] = terms.moment("--plan-ends", plan_ends, SystemClock())
    if next_plan is not None:
        said["next_plan"] = None if next_plan == terms.NONE else next_plan
    if limit:
        said["limits"] = terms.limits("--limit", limit)
    if (issuer is None) != (subject is None):
        raise InvalidRequest("--issuer and --subject go together")
    if issuer is not None and subject is not None:
        said["identity"] = {"issuer": issuer, "subject": subject}
    return said


async def _begin_trial(parts: Parts, username: str, amount: NanoUsd, until: float, act: Act) -> Trial:
    account_id = await named(parts, username)
    return await parts.accounts.set_trial(account_id, allowance=amount, ends_at=until, act=act)


async def _end_trial(parts: Parts, username: str, act: Act) -> None:
    await parts.accounts.end_trial(await named(parts, username), act=act)


def _show(output: Output, account: Account, done: str, *, as_json: bool) -> None:
    if as_json:
        output.json(account_form(account).model_dump())
    else:
        output.say(f"{done} account {account.id}, {account.username!r}")


def _table(accounts: tuple[Account, ...]) -> Table:
    return table(("id", "username", "state", "plan", "until", "then", "created"), map(_cells, accounts))


def _cells(account: Account) -> tuple[str, ...]:
    return (
        *(str(account.id), account.username, "active" if account.is_active else "suspended"),
        *(account.plan or "", terms.shown(account.plan_ends_at), account.next_plan or ""),
        terms.shown(account.created_at),
    )
