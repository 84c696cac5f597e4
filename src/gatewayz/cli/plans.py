"""`gatewayz plans`: list, create, set, delete."""

from typing import Annotated

import typer

from gatewayz.accounts.limit_names import LIMIT_NAMES
from gatewayz.accounts.model import Plan
from gatewayz.accounts.plans import PlanTerms
from gatewayz.api.admin.forms import dollars, plan_form
from gatewayz.cli import terms
from gatewayz.cli.console import Json, Output, Reason, table
from gatewayz.cli.installation import with_parts
from gatewayz.core.errors import InvalidRequest
from gatewayz.storage.audit import Act

_MOST = 100_000

commands = typer.Typer(
    no_args_is_help=True, help="Make, list, change and delete plans: what is included each month, and limits."
)

PlanId = Annotated[str, typer.Argument(help="The plan's id: a-z, 0-9, '-' and '_', such as team.")]
Name = Annotated[str | None, typer.Option(help="What people call it [default for a new plan: its id].")]
Allowance = Annotated[str | None, typer.Option(help="US dollars included each month, such as 20 [default: 0].")]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        help=f"Of each account that has the plan, such as requests_per_minute=600. May be given again; replaces all "
        f"that the plan had. {', '.join(LIMIT_NAMES)}; none lifts all.",
    ),
]


@commands.command("list")
def list_plans(as_json: Json = False) -> None:
    """List plans."""
    output = Output()
    with output.explaining_errors():
        plans = with_parts(lambda parts: parts.plans.list_plans(limit=_MOST)).items
        if as_json:
            output.json([plan_form(plan).model_dump() for plan in plans])
        else:
            rows = ((plan.id, plan.name, dollars(plan.allowance), _limits_text(plan)) for plan in plans)
            output.results.print(table(("id", "name", "US dollars a month", "limits"), rows))


@commands.command("create")
def create(
    plan_id: PlanId,
    name: Name = None,
    allowance: Allowance = None,
    limit: Limits = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Make a plan. `gatewayz accounts set NAME --plan ID` gives it to an account.

    gatewayz plans create team --allowance 20 --limit requests_per_minute=600 --limit concurrent=20
    """
    output = Output()
    with output.explaining_errors():
        said = _terms(name, allowance, limit)
        plan = with_parts(lambda parts: parts.plans.create(plan_id, act=Act("cli", reason), **said))
        _show(output, plan, "made", as_json=as_json)


@commands.command("set")
def change(
    plan_id: PlanId,
    name: Name = None,
    allowance: Allowance = None,
    limit: Limits = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Change a plan for every account that has it. What is not named stays."""
    output = Output()
    with output.explaining_errors():
        said = _terms(name, allowance, limit)
        if not said:
            raise InvalidRequest("name what is to change, as in --allowance 20")
        plan = with_parts(lambda parts: parts.plans.change(plan_id, act=Act("cli", reason), **said))
        _show(output, plan, "changed", as_json=as_json)


@commands.command("delete")
def delete(plan_id: PlanId, reason: Reason = None) -> None:
    """Delete a plan that no account has."""
    output = Output()
    with output.explaining_errors():
        with_parts(lambda parts: parts.plans.delete(plan_id, act=Act("cli", reason)))
        output.say(f"deleted plan {plan_id!r}")


def _terms(name: str | None, allowance: str | None, limit: list[str] | None) -> PlanTerms:
    said = PlanTerms()
    if name is not None:
        said["name"] = name
    if allowance is not None:
        said["allowance"] = terms.amount("--allowance", allowance)
    if limit:
        said["limits"] = terms.limits("--limit", limit)
    return said


def _show(output: Output, plan: Plan, done: str, *, as_json: bool) -> None:
    if as_json:
        output.json(plan_form(plan).model_dump())
    else:
        output.say(f"{done} plan {plan.id!r}")


def _limits_text(plan: Plan) -> str:
    return ", ".join(f"{name} {amount:,}" for name, amount in plan.limits if amount is not None)
