"""The account that a command names."""

from typing import Annotated

import typer

from gatewayz.accounts.errors import no_account
from gatewayz.app import Parts
from gatewayz.core.ids import AccountId

Username = Annotated[str, typer.Argument(help="The account's name, from `gatewayz accounts list`.")]


async def named(parts: Parts, username: str) -> AccountId:
    """Raises NotFound."""
    account = await parts.accounts.find_by_username(username)
    if account is None:
        raise no_account(username)
    return account.id
