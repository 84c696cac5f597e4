"""`gatewayz credits`: what accounts have and used, what people change of it, and the proof that it is right."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar

import typer

from gatewayz.api.admin.forms import dollars
from gatewayz.api.credit_forms import balance_form, change_form, usage_form
from gatewayz.api.credits import SUMS
from gatewayz.app import CreditsParts, assembled
from gatewayz.cli.console import FAILED, Output, table
from gatewayz.cli.installation import Installation, installation, prepare_schema
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest
from gatewayz.core.money import NanoUsd, nano_usd
from gatewayz.credits.ledger import Order, Posted
from gatewayz.credits.repository import BY, UsageAsked

T = TypeVar("T")

_BY_COMMAND = "cli"
_MOST_ROWS = 100_000

commands = typer.Typer(no_args_is_help=True, help="See, give and take credits; prove that every cent is accounted for.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Account = Annotated[str, typer.Argument(help="The account's name.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the ledger and in the audit log.")]
Reference = Annotated[
    str | None, typer.Option(help="A name for this; given again, it is not done again [default: one of its own].")
]


@commands.command("show")
def show(
    account: Annotated[str | None, typer.Argument(help="The account's name; none means all.")] = None,
    as_json: Json = False,
) -> None:
    """Print what accounts can spend, and what is held for requests that run."""
    output = Output()
    with output.explaining_errors(), installation() as place:
        found = _run(place, lambda own: own.repository.list_balances(account, _MOST_ROWS, 0))
        if account is not None and not found.items:
            raise GatewayzError(f"there is no account {account!r}", kind=ErrorKind.NOT_FOUND)
        rows = [{"account": each.account, **balance_form(each.balance).model_dump()} for each in found.items]
        _print(output, rows, ("account", "available", "purchased", "allowance", "held"), as_json=as_json)


@commands.command("grant")
def grant(
    account: Account,
    amount: Annotated[str, typer.Argument(help="US dollars to add, such as 10 or 2.50.")],
    reason: Reason,
    reference: Reference = None,
    as_json: Json = False,
) -> None:
    """Add to what an account purchased."""
    order = _order(reason, reference)
    _change(lambda own: own.ledger.grant(account, _amount(amount), order()), as_json=as_json)


@commands.command("adjust", context_settings={"ignore_unknown_options": True})
def adjust(
    account: Account,
    amount: Annotated[str, typer.Argument(help="US dollars to add, or to take: -2.50.")],
    reason: Reason,
    reference: Reference = None,
    as_json: Json = False,
) -> None:
    """Raise or lower what an account purchased, never below nothing."""
    order = _order(reason, reference)
    _change(lambda own: own.ledger.adjust(account, _amount(amount), order()), as_json=as_json)


@commands.command("refund")
def refund(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    reason: Reason,
    amount: Annotated[str | None, typer.Option(help="US dollars [default: all that it was charged].")] = None,
    reference: Reference = None,
    as_json: Json = False,
) -> None:
    """Give back what a request was charged, or a part of it."""
    order = _order(reason, reference)
    part = amount
    _change(
        lambda own: own.ledger.refund(request_id, None if part is None else _amount(part), order()),
        as_json=as_json,
    )


@commands.command("usage")
def usage(
    account: Account,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Days up to today, in UTC.")] = 30,
    by: Annotated[str, typer.Option(help="What is told apart: some of day,key,model,provider.")] = "day,model",
    as_json: Json = False,
) -> None:
    """Print what an account used and what that cost."""
    output = Output()
    with output.explaining_errors(), installation() as place:
        apart = tuple(each for each in by.split(",") if each)
        if not set(apart) <= set(BY) or len(set(apart)) != len(apart):
            raise InvalidRequest(f"--by must be some of {','.join(BY)}, with commas between them, not {by!r}")
        today = datetime.now(UTC).date()
        rows = _run(place, lambda own: _usage(own, account, today - timedelta(days=days - 1), today, apart))
        _print(output, rows, (*apart, *SUMS), as_json=as_json)


@commands.command("check")
def check(as_json: Json = False) -> None:
    """Prove that each balance is the sum of its ledger and that nothing is lost. Exit code 1 if anything differs."""
    output = Output()
    with output.explaining_errors(), installation() as place:
        drifts = _run(place, lambda own: own.reconciliation.drifts())
        if as_json:
            output.json(drifts)
        elif not drifts:
            output.say("every balance is the sum of its ledger, and all sums to zero")
        else:
            rows = [(each.what, str(each.account_id), dollars(each.expected), dollars(each.found)) for each in drifts]
            output.results.print(table(("what", "account", "expected", "found"), rows))
    if drifts:
        sys.exit(FAILED)


def _change(work: Callable[[CreditsParts], Awaitable[Posted]], *, as_json: bool) -> None:
    output = Output()
    with output.explaining_errors(), installation() as place:
        posted = _run(place, work)
        if as_json:
            output.json(change_form(posted).model_dump())
            return
        done = "had been done before" if posted.is_repeated else "done"
        output.say(f"{posted.kind} of {dollars(posted.amount)} US dollars to {posted.account!r}: {done}")
        output.say(f"available: {dollars(posted.balance.available)}; reference: {posted.reference}")


def _run(place: Installation, work: Callable[[CreditsParts], Awaitable[T]]) -> T:
    async def running() -> T:
        await prepare_schema(place)
        async with assembled(place.settings) as parts:
            return await work(parts.credits)

    return asyncio.run(running())


async def _usage(
    own: CreditsParts,
    account: str,
    first: date,
    last: date,
    by: tuple[str, ...],
) -> list[dict[str, Any]]:
    found = await own.repository.find_account(account)
    if found is None:
        raise GatewayzError(f"there is no account {account!r}", kind=ErrorKind.NOT_FOUND)
    asked = UsageAsked(account=found, first=first, last=last, by=by)
    return [usage_form(each).model_dump(exclude_none=True) async for each in own.repository.every_usage(asked)]


def _order(reason: str, reference: str | None) -> Callable[[], Order]:
    return lambda: Order.of(by=_BY_COMMAND, reason=reason, reference=reference)


def _amount(text: str) -> NanoUsd:
    try:
        return nano_usd(Decimal(text))
    except InvalidOperation:
        raise InvalidRequest(f"the amount must be US dollars such as 10 or 2.50, not {text!r}") from None


def _print(output: Output, rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        output.json(rows)
    else:
        output.results.print(table(columns, ([str(row[name]) for name in columns] for row in rows)))
