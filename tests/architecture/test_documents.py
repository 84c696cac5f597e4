"""What pages name exists: settings, metrics, commands, error codes, alerts. And what exists is in the reference."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.architecture.test_repository import PAGES, ROOT

from gatewayz.app import ENTITIES
from gatewayz.cli.commands import cli
from gatewayz.core.errors import ErrorKind
from gatewayz.providers.table import PROVIDERS
from gatewayz.settings import WELL_KNOWN, known_variables

_MADE_UP = ROOT / "docs" / "how-to" / "add-a-setting.md"  # names what is about to be added
DOCS = [
    page
    for page in PAGES
    if ROOT / "docs" / "reference" not in page.parents and "benchmarks" not in page.parts and page != _MADE_UP
]
REFERENCE = ROOT / "docs" / "reference"
RUNBOOKS = ROOT / "docs" / "how-to" / "runbooks"

_VARIABLE = re.compile(r"\bGATEWAYZ_[A-Z0-9_]+(?:…[A-Z_]*)?")
_METRIC = re.compile(r"\b(?:gatewayz|model_cache|ledger)_[a-z0-9_]+")
_COMMAND = re.compile(r"(?:^ *|`|bin/|\$\(|exec gatewayz )gatewayz ([a-z][a-z-]+(?: [a-z][a-z-]+)?)", re.MULTILINE)
# Names that begin like a metric's and are none.
_NO_METRICS = {"gatewayz_restored"}


def reference(page: str) -> str:
    return (REFERENCE / f"{page}.md").read_text(encoding="utf-8")


def by_page(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(ROOT).as_posix())


def code(page: Path) -> str:
    """What stands in fences and between backquotes."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(encoding="utf-8"), re.DOTALL))


def is_setting(name: str) -> bool:
    known = [*known_variables(), *WELL_KNOWN]
    start = name.partition("…")[0].rstrip("_")
    is_family = start != name and any(each.startswith(start) for each in known)
    return is_family or any(fnmatch(start, each) for each in known)


@by_page(DOCS)
def test_a_setting_that_a_page_names_exists(page: Path) -> None:
    assert [name for name in sorted(set(_VARIABLE.findall(code(page)))) if not is_setting(name)] == []


@by_page(DOCS)
def test_a_metric_that_a_page_names_exists(page: Path) -> None:
    known = set(re.findall(r"`(\w+)`", reference("metrics")))
    suffixed = known | {f"{name}{suffix}" for name in known for suffix in ("_bucket", "_count", "_sum")}
    named = set(_METRIC.findall(code(page))) - _NO_METRICS
    assert [name for name in sorted(named) if not any(each.startswith(name) for each in suffixed)] == []


def commands(group: Any, above: str = "") -> Iterator[str]:  # noqa: ANN401  typer does not export its types
    for name, each in group.commands.items():
        yield f"{above}{name}"
        if hasattr(each, "commands"):
            yield from commands(each, f"{above}{name} ")


COMMANDS = set(commands(typer.main.get_command(cli)))
GROUPS = {each.partition(" ")[0] for each in COMMANDS if " " in each}
ALSO_COMMANDS = {name for name in GROUPS if typer.main.get_command(cli).commands[name].invoke_without_command}  # type: ignore[attr-defined]


@by_page(DOCS)
def test_a_command_that_a_page_names_exists(page: Path) -> None:
    for words in _COMMAND.findall(code(page)):
        first = words.partition(" ")[0]
        assert (words if first in GROUPS and " " in words else first) in COMMANDS, f"gatewayz {words}"


def test_every_command_setting_entity_code_and_provider_is_in_the_reference_and_none_beside() -> None:
    described = set(re.findall(r"^## `gatewayz ([^`]+)`", reference("commands"), re.MULTILINE))
    groups = {each.rpartition(" ")[0] for each in COMMANDS if " " in each}
    assert described == COMMANDS - (groups - ALSO_COMMANDS)
    rows = {
        "settings": (set(known_variables()), r"^\| `(GATEWAYZ_[A-Z0-9_*]+)`"),
        "cached-entities": ({entity.name for entity in ENTITIES}, r"^\| `([^`]+)` \| `"),
        "errors": ({str(kind) for kind in ErrorKind}, r"^\| `(\w+)` \| \d"),
        "providers": ({provider.slug for provider in PROVIDERS}, r"^\| `([^`]+)`"),
    }
    for page, (declared, row) in rows.items():
        assert set(re.findall(row, reference(page), re.MULTILINE)) == declared, page


def alerts() -> dict[str, str]:
    """Their runbooks, by their names."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    return {
        rule["alert"]: rule["annotations"]["runbook"]
        for group in rules["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def test_every_alert_has_a_runbook_that_names_it() -> None:
    missing = {
        name: page
        for name, page in alerts().items()
        if not (ROOT / page).is_file() or f"`{name}`" not in (ROOT / page).read_text(encoding="utf-8")
    }
    assert missing == {}


@by_page([page for page in sorted(RUNBOOKS.glob("*.md")) if page.name not in {"README.md", "backup-and-restore.md"}])
def test_a_runbook_says_how_one_notices_looks_acts_and_knows_that_it_is_over(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "**You notice**" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Look", "Do", "Over"]
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z0-9]+)+)`", text.partition("## Look")[0]))
    assert named, "which alert brings one here"
    assert named <= alerts().keys()
