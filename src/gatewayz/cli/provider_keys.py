"""`gatewayz accounts provider-keys`: set, list, remove, reseal."""

import sys
from typing import Annotated

import typer
from rich.table import Table

from gatewayz.accounts.model import ProviderKeyRecord
from gatewayz.api.admin.forms import provider_key_form
from gatewayz.app import Parts
from gatewayz.cli import terms
from gatewayz.cli.console import FAILED, Json, Output, Reason, table
from gatewayz.cli.installation import with_parts
from gatewayz.cli.named_account import Username, named
from gatewayz.storage.audit import Act

commands = typer.Typer(no_args_is_help=True, help="Keys that an account has at providers itself.")

Provider = Annotated[str, typer.Argument(help="The provider's slug.")]


@commands.command("set")
def set_key(username: Username, provider: Provider, reason: Reason = None, as_json: Json = False) -> None:
    """Ask a provider with the account's own key. The key is read from standard input, or asked for.

    gatewayz accounts provider-keys set acme openai < key.txt
    """
    output = Output()
    with output.explaining_errors():
        secret = _read_secret(provider)

        async def work(parts: Parts) -> ProviderKeyRecord:
            account_id = await named(parts, username)
            return await parts.provider_keys.set(account_id, provider, secret, act=Act("cli", reason))

        record = with_parts(work)
        if as_json:
            output.json(provider_key_form(record).model_dump())
        else:
            output.say(f"{provider} is asked with {username}'s own key {record.id} from now on")


@commands.command("list")
def list_keys(username: Username, as_json: Json = False) -> None:
    """List an account's own keys: never the keys themselves."""
    output = Output()
    with output.explaining_errors():

        async def work(parts: Parts) -> tuple[ProviderKeyRecord, ...]:
            return await parts.provider_keys.list_keys(await named(parts, username))

        records = with_parts(work)
        if as_json:
            output.json([provider_key_form(record).model_dump() for record in records])
        else:
            output.results.print(_table(records))


@commands.command("remove")
def remove(username: Username, provider: Provider, reason: Reason = None) -> None:
    """Forget an account's own key: no worker uses it from now on."""
    output = Output()
    with output.explaining_errors():

        async def work(parts: Parts) -> None:
            await parts.provider_keys.remove(await named(parts, username), provider, act=Act("cli", reason))

        with_parts(work)
        output.say(f"removed {username}'s own key at {provider}")


@commands.command("reseal")
def reseal() -> None:
    """Seal every account's own keys by the present GATEWAYZ_SECRET_KEY, those that GATEWAYZ_FORMER_SECRET_KEY opens.
    Exit code 1 if some cannot be opened: their accounts must set them anew.
    """
    output = Output()
    with output.explaining_errors():
        sealed, lost = with_parts(lambda parts: parts.provider_keys.reseal())
        output.say(f"sealed {sealed} anew" + (f", {lost} cannot be opened" if lost else ""))
    if lost:
        sys.exit(FAILED)


def _read_secret(provider: str) -> str:
    """Never from an argument, which other users of the machine and the shell's history see."""
    if sys.stdin.isatty():
        return str(typer.prompt(f"API key at {provider}", hide_input=True, err=True))
    return sys.stdin.read().strip()


def _table(records: tuple[ProviderKeyRecord, ...]) -> Table:
    return table(("provider", "id", "ends in", "created"), map(_cells, records))


def _cells(record: ProviderKeyRecord) -> tuple[str, ...]:
    return record.provider, record.id, record.last_four, terms.shown(record.created_at)
