"""`gatewayz sync`: bring providers' model lists into the catalog now."""

import asyncio
from collections.abc import Sequence

from rich.table import Table

from gatewayz.app import Parts, assembled, catalog_sync, lists_to_sync
from gatewayz.catalog.sync import ListToSync, SyncReport
from gatewayz.cli.console import FAILED, Output, table
from gatewayz.cli.first_start import import_offline
from gatewayz.cli.installation import Installation, installation, prepare_schema
from gatewayz.cli.offline import offline_lists
from gatewayz.core.errors import InvalidRequest

_EXAMPLES = 3


def sync(
    output: Output, slugs: Sequence[str], *, offline: bool, dry_run: bool, accept_short: bool, as_json: bool
) -> int:
    """Returns the exit code: 1 if any list was refused."""
    with installation() as place:
        reports = asyncio.run(_sync(place, output, slugs, offline=offline, dry_run=dry_run, accept_short=accept_short))
    if as_json:
        output.json(reports)
    else:
        output.results.print(_table(reports))
        _explain(output, reports)
    return FAILED if any(report.error for report in reports) else 0


async def _sync(
    place: Installation, output: Output, slugs: Sequence[str], *, offline: bool, dry_run: bool, accept_short: bool
) -> list[SyncReport]:
    await prepare_schema(place)
    async with assembled(place.settings) as parts:
        reports = await import_offline(parts, output) if offline else []
        wanted = _wanted(parts, slugs) if slugs or not offline else []
        syncing = catalog_sync(parts, offline_lists())
        with output.progress() as progress:
            task = progress.add_task("syncing", total=len(wanted))
            for each in wanted:
                progress.update(task, description=f"syncing {each.slug}")
                reports.append(await syncing.sync(each, accept_short=accept_short, dry_run=dry_run))
                progress.advance(task)
        return reports


def _wanted(parts: Parts, slugs: Sequence[str]) -> list[ListToSync]:
    possible = {each.slug: each for each in lists_to_sync(parts)}
    for slug in slugs:
        if slug not in possible:
            configured = parts.providers.get(slug)
            reason = configured.reason if configured else "is not in the table and no setting adds it"
            raise InvalidRequest(f"cannot sync {slug!r}: it {reason or 'has no model list'}", param="provider")
    return [possible[slug] for slug in slugs] if slugs else list(possible.values())


def _table(reports: Sequence[SyncReport]) -> Table:
    columns = ("provider", "listed", "written", "missing", "refused rows or prices", "outcome")
    return table(columns, (_cells(report) for report in reports))


def _cells(report: SyncReport) -> tuple[str, ...]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.reasons.items())
    outcome = report.error or ("unchanged" if report.is_unchanged else "written")
    return report.provider, *map(str, (report.listed, report.written, report.missing)), reasons or "none", outcome


def _explain(output: Output, reports: Sequence[SyncReport]) -> None:
    """A few refused rows of each kind by name; `--json` has them all."""
    for report in reports:
        for reason in report.reasons:
            rows = [row for row in report.refused if row.reason == reason]
            shown = ", ".join(f"{row.native_id} ({row.detail})" for row in rows[:_EXAMPLES])
            more = f" and {len(rows) - _EXAMPLES} more" if len(rows) > _EXAMPLES else ""
            output.notes.print(f"{report.provider}: {reason}: {shown}{more}", soft_wrap=True)
