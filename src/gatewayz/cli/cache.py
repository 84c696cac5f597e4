"""`gatewayz cache`: ask and steer the cache that the running workers share.

Commands take part in the fleet as a worker does, over Redis: that needs no admin key and no running server, and what
is cleared is confirmed by every worker before the command ends. What only workers know they ask of them over the
sockets by which these ask each other.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, TypeVar

import typer
from msgspec.structs import asdict
from pydantic import ValidationError

from gatewayz.api.admin.forms import Form
from gatewayz.api.cache_clearing import ClearForm, clear_noted
from gatewayz.api.cache_warming import Warmed, WarmForm, list_wanted, sum_of, target_of, warm_one
from gatewayz.app import Parts, assembled
from gatewayz.cache.errors import UnknownEntity
from gatewayz.cache.explanation import Explanation, Shown
from gatewayz.cli.cache_stats import NO_SUCH_ENTITY, stats
from gatewayz.cli.console import FAILED, Json, Output, Reason, table
from gatewayz.cli.installation import Installation, installation, with_parts
from gatewayz.core.errors import InvalidRequest
from gatewayz.storage.audit import Act

F = TypeVar("F", bound=Form)

commands = typer.Typer(no_args_is_help=True, help="Ask and steer the cache that the running workers share.")


commands.command("stats")(stats)


@commands.command("get")
def get(
    entity: Annotated[str, typer.Argument(help="The entity's name, such as models:provider.")],
    key: Annotated[str, typer.Argument(help="The key; leave it out where the entity has one value.")] = "",
    as_json: Json = False,
) -> None:
    """Show the value that workers share under a key, as JSON, with tier, age and version. Loads and changes nothing.

    `get models:stats`, `get models:provider openai`, `get auth:account 7`. It is what Redis would serve now: `explain`
    says why there is nothing, `warm` loads it. An API key is asked for by its digest. Values that hold secrets, or
    what was said in a chat, are masked. Exit code 1 if there is nothing to serve, 2 if there is no such entity.
    """
    output = Output()
    with output.explaining_errors(), installation() as place:
        with _known(output):
            shown = asyncio.run(_shown(place, entity, key))
        if as_json:
            output.json(shown)
        elif shown.tier is not None:
            output.say(_provenance(shown))
            output.json(_MASKED if shown.is_masked else shown.value)
        if shown.tier is None:
            output.say(f"nothing to serve: {shown.why}")
            sys.exit(FAILED)


@commands.command("explain")
def explain(
    entity: Annotated[str, typer.Argument(help="The entity's name, such as models:provider.")],
    key: Annotated[str, typer.Argument(help="The key; leave it out where the entity has one value.")] = "",
    as_json: Json = False,
) -> None:
    """Say what Redis holds for a key and why a read of it would be a hit or not. Loads and changes nothing.

    Each worker's memory is its own: ask one over HTTP, by GET /api/system/cache/explain. Exit code 2 if there is no
    such entity.
    """
    output = Output()
    with output.explaining_errors(), installation() as place:
        with _known(output):
            explanation = asyncio.run(_explained(place, entity, key))
        if as_json:
            # This process has a memory of its own, of which nobody wants to know.
            output.json({name: value for name, value in asdict(explanation).items() if name not in _OF_A_WORKER})
        else:
            output.results.print(table(("what", "says"), _rows(explanation)))


@commands.command("clear")
def clear(
    entity: Annotated[
        str | None,
        typer.Argument(help="An entity such as models:stats, or a family: models, auth, db."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="One value of the entity.")] = None,
    gateway: Annotated[str | None, typer.Option(help="A provider's slug: its catalog, and what hangs on it.")] = None,
    tag: Annotated[str | None, typer.Option(help="What carries the tag, such as model:openai/gpt-4o.")] = None,
    account: Annotated[int | None, typer.Option(help="Answers kept for the account, by its id.")] = None,
    model: Annotated[str | None, typer.Option(help="Answers kept of the model.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Entities whose names begin so.")] = None,
    older_than: Annotated[float | None, typer.Option(help="Only what was loaded before this Unix time.")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Make every worker forget, and return once all have: nobody is served what was cleared.

    Name one thing: `clear models:provider --key openai`, `clear --gateway openai`, `clear auth`, `clear --account 7`.
    Nothing is lost but time: what is asked for next is loaded anew. Exit code 2 if there is no such entity, 1 if a
    worker has not confirmed.
    """
    output = Output()
    asked = {
        "cache_type": entity, "key": key, "gateway": gateway, "tag": tag, "account": account, "model": model,
        "prefix": prefix, "older_than": older_than, "reason": reason,
    }  # fmt: skip
    with output.explaining_errors():
        form = _form(ClearForm, asked)
        with _known(output):
            act = Act("cli", form.reason)
            cleared = with_parts(lambda parts: clear_noted(parts.cache, parts.audit, form, parts.providers, act))
        if as_json:
            output.json(cleared.model_dump())
        else:
            said = "every worker has confirmed" if cleared.everywhere else "NOT every worker has confirmed"
            names = ", ".join(cleared.cleared)
            output.results.print(f"cleared {names} in {cleared.seconds:.3f} s; {said}", soft_wrap=True)
        sys.exit(0 if cleared.everywhere else FAILED)


@commands.command("warm")
def warm(
    entity: Annotated[str | None, typer.Argument(help="The entity's name; all of the catalog if left out.")] = None,
    keys: Annotated[list[str] | None, typer.Argument(help="Keys, of an entity that has many values.")] = None,
    gateway: Annotated[str | None, typer.Option(help="A provider's slug: its catalog, and what hangs on it.")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Load into Redis what workers will be asked for, so that their next read loads nothing.

    `warm`, `warm models:unique`, `warm models:model openai/gpt-4o`, `warm --gateway openai`. What is there already
    stays as it is: clear it first to have it loaded anew. Exit code 2 if there is no such entity, 1 if a load failed.
    """
    output = Output()
    with output.explaining_errors():
        form = _form(WarmForm, {"cache_type": entity, "keys": keys or [], "gateway": gateway, "reason": reason})
        with _known(output):
            steps = with_parts(lambda parts: _warmed(parts, form, output))
        if as_json:
            output.json(steps)
        else:
            output.results.print(table(("entity", "key", "found", "seconds"), (_step_cells(each) for each in steps)))
        sys.exit(FAILED if sum_of(steps).failed else 0)


@contextmanager
def _known(output: Output) -> Iterator[None]:
    """An entity that there is not ends the command by an exit code of its own."""
    try:
        yield
    except UnknownEntity as error:
        output.say(f"error: {error}")
        sys.exit(NO_SUCH_ENTITY)


def _form(kind: type[F], asked: Mapping[str, object]) -> F:
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(f"{first['loc'][0]!r}: {first['msg']}", param=str(first["loc"][0])) from error


async def _warmed(parts: Parts, form: WarmForm, output: Output) -> list[Warmed]:
    wanted = await list_wanted(parts.cache, form)
    steps = []
    with output.progress() as progress:
        task = progress.add_task("warming", total=len(wanted))
        for name, key in wanted:
            progress.update(task, description=f"warming {name}")
            steps.append(await warm_one(parts.cache, name, key))
            progress.advance(task)
    await parts.audit.record(Act("cli", form.reason), "cache.warm", target_of(form), sum_of(steps))
    return steps


def _step_cells(step: Warmed) -> tuple[str, ...]:
    found = step.error or ("yes" if step.found else "there is none")
    return step.entity, step.key, found, f"{step.seconds:.3f}"


_MASKED = "masked"


async def _shown(place: Installation, entity: str, key: str) -> Shown:
    async with assembled(place.settings) as parts:
        return await parts.cache.show_text(entity, key)


def _provenance(shown: Shown) -> str:
    tags = f", tags {', '.join(shown.tags)}" if shown.tags else ""
    version = f", version {shown.version}" if shown.version is not None else ""
    return f"{shown.tier} ({shown.state}), loaded {shown.age or 0:,.1f} s ago{version}{tags}"


_OF_A_WORKER = ("l1", "last_invalidation", "is_loading_here", "learned_ttl")


async def _explained(place: Installation, entity: str, key: str) -> Explanation:
    async with assembled(place.settings) as parts:
        return await parts.cache.explain_text(entity, key)


def _rows(explanation: Explanation) -> list[tuple[str, str]]:
    shared, generations, lease = explanation.l2, explanation.generations, explanation.lease
    rows = [
        ("entity", explanation.entity),
        ("key", f"{explanation.key!r} ({explanation.key_form})"),
        ("Redis", f"{shared.state}: {shared.why}"),
    ]
    if shared.age is not None:
        rows.append(("loaded", f"{shared.age:,.1f} s ago"))
    if shared.version is not None:
        rows.append(("version", shared.version))
    if shared.tags:
        rows.append(("tags", ", ".join(shared.tags)))
    if generations is not None:
        rows.append(("generations", f"key {generations.key or 'none'}, entity {generations.entity or 'none'}"))
        rows.append(("floor", str(explanation.floor or "none")))
        rows.append(("lease", f"to {lease.to}, for {lease.seconds:.1f} s more" if lease is not None else "nobody's"))
    return rows
