"""What an empty database needs: the schema, the offline catalog, an admin key and a first API key."""

from msgspec import Struct

from gatewayz.accounts.model import NewApiKey
from gatewayz.accounts.scopes import ACCOUNT, ADMIN, INFERENCE
from gatewayz.app import Parts, catalog_sync, lists_to_sync
from gatewayz.catalog.sync import SyncReport
from gatewayz.cli.console import Output
from gatewayz.cli.offline import named_offline_lists
from gatewayz.core.errors import GatewayzError
from gatewayz.core.money import nano_usd

ADMIN_SCOPES = (ADMIN, INFERENCE, ACCOUNT)


class FirstKeys(Struct, frozen=True):
    """`admin` is None where the settings gave the admin key, which is never printed."""

    admin: NewApiKey | None
    api: NewApiKey


async def import_offline(parts: Parts, output: Output) -> list[SyncReport]:
    """The offline price data into the catalog, one transaction per provider; what live lists said stays."""
    catalog = named_offline_lists()
    sync = catalog_sync(parts, {slug: listing for slug, (_, listing) in catalog.items()})
    reports = []
    with output.progress() as progress:
        task = progress.add_task("importing the catalog", total=len(catalog))
        for slug, (name, listing) in catalog.items():
            try:
                reports.append(await sync.accept(listing, name=name, source="offline", accept_short=True))
            except GatewayzError as error:
                reports.append(SyncReport(provider=slug, error=error.message))
            progress.advance(task)
    return reports


async def sync_without_network(parts: Parts) -> None:
    """The providers whose models settings or the table name: there is nothing to fetch."""
    sync = catalog_sync(parts, {})
    for wanted in lists_to_sync(parts):
        if parts.providers[wanted.slug].provider.models:
            await sync.sync(wanted)


async def make_keys(parts: Parts) -> FirstKeys | None:
    """The admin key of the settings, made if it is new, and on an empty database the first keys; None where there
    were keys already.
    """
    is_first = not await parts.keys.has_any()
    given = parts.settings.admin_key
    if given is not None:
        await parts.keys.ensure(given.get_secret_value(), name="admin", account="admin", scopes=ADMIN_SCOPES)
    if not is_first:
        return None
    admin = None if given else await parts.keys.create(name="admin", account="admin", scopes=ADMIN_SCOPES)
    amount = nano_usd(parts.settings.accounts.first_key_credits)
    return FirstKeys(admin=admin, api=await parts.keys.create(name="first", account="default", credits=amount))
