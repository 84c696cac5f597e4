"""Every command of `gatewayz`, in one list."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from gatewayz import __version__
from gatewayz.app import ENTITIES, check
from gatewayz.cli import accounts, cache, credits, jobs, keys, plans  # noqa: A004  the command's word
from gatewayz.cli import doctor as doctor_command
from gatewayz.cli import serve as serve_command
from gatewayz.cli import sync as sync_command
from gatewayz.cli.console import Json, Output, table
from gatewayz.cli.installation import installation
from gatewayz.settings import PREFIX, database_url, load_settings, origins
from gatewayz.storage.migrate import migrate as migrate_schema
from gatewayz.storage.migrate import schema_state

cli = typer.Typer(
    name="gatewayz",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An AI inference gateway: one OpenAI-compatible API in front of many model providers. "
    "Settings come from the environment and .env; `gatewayz check-config` shows them all.",
)
cli.add_typer(keys.commands, name="keys")
cli.add_typer(accounts.commands, name="accounts")
cli.add_typer(plans.commands, name="plans")
cli.add_typer(credits.commands, name="credits")
cli.add_typer(cache.commands, name="cache")
cli.add_typer(jobs.commands, name="jobs")


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one [default: 8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes [default: 1].")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where data lives [default: ./.gatewayz].")] = None,
) -> None:
    """Start the gateway. Without DATABASE_URL and REDIS_URL it brings its own PostgreSQL and Redis."""
    flags = {"HOST": host, "PORT": port, "WORKERS": workers, "DATA_DIR": data_dir}
    os.environ.update({PREFIX + name: str(value) for name, value in flags.items() if value is not None})
    output = Output()
    with output.explaining_errors():
        serve_command.serve(output)


@cli.command()
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the schema is current.")] = False,
) -> None:
    """Bring the database's schema to this version. Safe to run twice and from several hosts at once."""
    output = Output()
    with output.explaining_errors(), installation() as place:
        work = schema_state if check else migrate_schema
        state = asyncio.run(work(database_url(place.settings), ENTITIES))
        output.notes.print(f"schema {state}")
    if not state.is_usable:
        sys.exit(1)


@cli.command("check-config")
def check_config(as_json: Json = False) -> None:
    """Print every setting, its value (secrets masked) and where that came from. Fails on a wrong setting."""
    output = Output()
    with output.explaining_errors():
        settings = load_settings()
        found = list(origins(settings))
        check(settings)
        if as_json:
            output.json(found)
            return
        columns = (Column("setting", overflow="fold"), Column("value", overflow="fold"), "from")
        output.results.print(table(columns, ((each.variable, each.value, each.source) for each in found)))


@cli.command()
def sync(
    providers: Annotated[
        list[str] | None, typer.Argument(help="Slugs of providers; none means all configured.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Import the offline price data (no network), then the named providers.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change and change nothing.")] = False,
    accept_short: Annotated[
        bool, typer.Option("--accept-short", help="Accept a list that is much shorter than the last good one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring providers' model lists into the catalog now. Exit code 1 if a list was refused."""
    output = Output()
    with output.explaining_errors():
        code = sync_command.sync(
            output,
            providers or [],
            offline=offline,
            dry_run=dry_run,
            accept_short=accept_short,
            as_json=as_json,
        )
    sys.exit(code)


@cli.command()
def doctor(as_json: Json = False) -> None:
    """Look at everything that can be wrong with this installation and say what to do. Exit code 1 if anything is."""
    output = Output()
    with output.explaining_errors():
        code = doctor_command.doctor(output, as_json=as_json)
    sys.exit(code)


@cli.command()
def version() -> None:
    """Print the version."""
    Output().results.print(__version__)
