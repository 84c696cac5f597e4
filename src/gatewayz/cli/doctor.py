"""`gatewayz doctor`: look at everything that can be wrong with an installation and say what to do."""

import asyncio
import stat
import sys

from msgspec import Struct
from redis.exceptions import RedisError
from rich.text import Text

from gatewayz import __version__
from gatewayz.app import ENTITIES, Parts, assembled
from gatewayz.cli.console import FAILED, Output
from gatewayz.cli.installation import Installation, installation
from gatewayz.core.errors import GatewayzError
from gatewayz.settings import Settings, database_url
from gatewayz.storage.migrate import schema_state

_PRIVATE = 0o077


class Finding(Struct, frozen=True):
    """`remedy` is empty where all is well."""

    what: str
    found: str
    remedy: str = ""


def doctor(output: Output, *, as_json: bool) -> int:
    """Returns the exit code: 1 if anything needs a remedy."""
    with installation() as place:
        findings = [*_installed(place), *asyncio.run(_running(place.settings))]
    if as_json:
        output.json(findings)
    else:
        for finding in findings:
            mark = Text("✗", style="red") if finding.remedy else Text("✓", style="green")
            output.results.print(mark, f"{finding.what}: {finding.found}", soft_wrap=True)
            if finding.remedy:
                output.results.print(f"    {finding.remedy}", soft_wrap=True)
    return FAILED if any(finding.remedy for finding in findings) else 0


def _installed(place: Installation) -> list[Finding]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    servers = place.servers
    return [
        Finding("gatewayz", f"{__version__} on Python {python}"),
        Finding("PostgreSQL", "embedded" if servers.database_url else "as given by DATABASE_URL"),
        Finding(
            "Redis",
            f"embedded, {servers.redis_source}"
            if servers.redis_url
            else "as given"
            if place.settings.redis_url()
            else "none: L1 over PostgreSQL",
        ),
        _secret(place.settings),
    ]


def _secret(settings: Settings) -> Finding:
    path = settings.data_dir / "secret"
    if settings.secret_key is not None:
        return Finding("secret", "from GATEWAYZ_SECRET_KEY")
    if not path.exists():
        return Finding("secret", f"will be made in {path} at the first start")
    if stat.S_IMODE(path.stat().st_mode) & _PRIVATE:
        return Finding("secret", f"{path} can be read by others", f"chmod 600 {path}")
    return Finding("secret", f"{path}, readable by its owner only")


async def _running(settings: Settings) -> list[Finding]:
    findings = [await _schema(settings)]
    async with assembled(settings) as parts:
        findings.append(await _redis(parts))
        if not findings[0].remedy:
            findings.append(await _catalog(parts))
        configured = [slug for slug, each in parts.providers.items() if each.enabled]
    return [*findings, Finding("providers", f"configured: {', '.join(configured) or 'none'}")]


async def _schema(settings: Settings) -> Finding:
    try:
        state = await schema_state(database_url(settings), ENTITIES)
    except GatewayzError as error:
        return Finding("database", "does not answer", error.message)
    if state.is_usable:
        return Finding("schema", f"revision {state.current}")
    return Finding("schema", str(state), "run `gatewayz migrate`")


async def _redis(parts: Parts) -> Finding:
    if parts.redis is None:
        return Finding("Redis answers", "not configured")
    try:
        answered = await parts.redis.seen()
    except (RedisError, OSError) as error:
        return Finding("Redis answers", type(error).__name__, "see that Redis runs and that REDIS_URL names it")
    return Finding("Redis answers", answered)


async def _catalog(parts: Parts) -> Finding:
    stats = (await parts.catalog.snapshot()).stats
    if not stats.total_models:
        return Finding("catalog", "empty", "run `gatewayz sync --offline`")
    return Finding("catalog", f"{stats.total_models} models of {stats.total_providers} providers")
