"""`gatewayz cache`: ask the cache that the running workers share."""

import asyncio
import sys
from typing import Annotated

import typer

from gatewayz.app import assembled
from gatewayz.cache.errors import UnknownEntity
from gatewayz.cache.explanation import Explanation
from gatewayz.cli.console import Json, Output, table
from gatewayz.cli.installation import Installation, installation

NO_SUCH_ENTITY = 2

commands = typer.Typer(no_args_is_help=True, help="Ask the cache that the running workers share.")


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
        try:
            explanation = asyncio.run(_explained(place, entity, key))
        except UnknownEntity as error:
            output.say(f"error: {error}")
            sys.exit(NO_SUCH_ENTITY)
        if as_json:
            # This process has a memory of its own, of which nobody wants to know.
            output.json({name: value for name, value in _fields(explanation).items() if name not in _OF_A_WORKER})
        else:
            output.results.print(table(("what", "says"), _rows(explanation)))


_OF_A_WORKER = ("l1", "last_invalidation", "is_loading_here", "learned_ttl")


async def _explained(place: Installation, entity: str, key: str) -> Explanation:
    async with assembled(place.settings) as parts:
        return await parts.cache.explain_text(entity, key)


def _fields(explanation: Explanation) -> dict[str, object]:
    return {name: getattr(explanation, name) for name in explanation.__struct_fields__}


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
