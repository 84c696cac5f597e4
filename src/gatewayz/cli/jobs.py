"""`gatewayz jobs`: see what one process does for the whole fleet, and have it done now."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from gatewayz.api.job_forms import job_form, run_form
from gatewayz.app import Parts
from gatewayz.cli.console import FAILED, Json, Output, Reason, table
from gatewayz.cli.installation import with_parts
from gatewayz.core.errors import Unavailable
from gatewayz.jobs.model import JobState, Run
from gatewayz.storage.audit import Act

# Whoever holds the jobs looks twice a second; who died is followed within 5 s.
_BEGUN_WITHIN = 15.0
_LOOK_EVERY = 0.2

commands = typer.Typer(invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="The job's name.")]


@commands.callback()
def jobs(context: typer.Context, as_json: Json = False) -> None:
    """List the fleet's jobs: when each ran last and what came of it, when it is due, who holds it."""
    if context.invoked_subcommand is not None:
        return
    output = Output()
    with output.explaining_errors():
        states = with_parts(lambda parts: parts.jobs.list_states())
        if as_json:
            output.json([job_form(each).model_dump() for each in states])
        else:
            output.results.print(table(("job", "last run", "outcome", "result", "next", "holder"), map(_job, states)))
            if not states:
                output.say("no process has held the jobs yet; `gatewayz serve` does")


@commands.command("run")
def run(
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended.")] = True,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Have a job run now, by the process that holds the jobs. Exit code 1 if it does not succeed."""
    output = Output()
    with output.explaining_errors():
        asked = Act("cli", reason)
        done = with_parts(lambda parts: _asked(parts, name, asked, output, is_dry=dry_run, wait=wait))
        if as_json:
            output.json(run_form(done).model_dump())
        else:
            output.results.print(table(("run", "state", "seconds", "result"), [_run(done)]))
    if done.outcome not in (None, "succeeded"):
        sys.exit(FAILED)


@commands.command("history")
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many runs.")] = 20,
    as_json: Json = False,
) -> None:
    """List a job's runs, the newest first."""
    output = Output()
    with output.explaining_errors():
        runs = with_parts(lambda parts: _history(parts, name, limit))
        if as_json:
            output.json([run_form(each).model_dump() for each in runs])
        else:
            columns = ("run", "state", "seconds", "result", "began", "asked by", "holder")
            rows = ((*_run(each), _when(each.began_at), each.asked_by or "", each.holder or "") for each in runs)
            output.results.print(table(columns, rows))


async def _history(parts: Parts, name: str, limit: int) -> list[Run]:
    await parts.jobs.get_state(name)
    return await parts.jobs.list_runs(name, limit)


async def _asked(parts: Parts, name: str, act: Act, output: Output, *, is_dry: bool, wait: bool) -> Run:
    number = await parts.jobs.ask(name, act, is_dry=is_dry)
    told, asked_at = "", time.monotonic()
    while True:
        found = await parts.jobs.find_run(number)
        if found is None:
            raise Unavailable(f"run {number} of {name!r} is gone; see `gatewayz jobs history {name}`")
        if found.outcome is not None or not wait:
            return found
        if found.began_at is None and time.monotonic() - asked_at > _BEGUN_WITHIN:
            raise Unavailable(f"run {number} of {name!r} waits: it runs already, or no `gatewayz serve` holds the jobs")
        if found.progress and found.progress != told:
            told = found.progress
            output.say(told)
        await asyncio.sleep(_LOOK_EVERY)


def _job(state: JobState) -> tuple[str, ...]:
    last = state.last
    ran = ("never", "", "") if last is None else (_when(last.began_at), last.state, _said(last))
    return (state.name, *ran, _when(state.due_at), state.holder)


def _run(run: Run) -> tuple[str, ...]:
    took = "" if run.duration is None else f"{run.duration:.1f}"
    return str(run.id), run.state + (" (dry)" if run.is_dry else ""), took, _said(run)


def _said(run: Run) -> str:
    if run.result is not None:
        return msgspec.json.encode(run.result).decode()
    return run.reason or run.progress or ""


def _when(moment: float | None) -> str:
    return "" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
