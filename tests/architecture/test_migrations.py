"""A migration may not take from the version before what it still uses: both run at once in a rolling deploy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[2] / "src" / "gatewayz" / "storage" / "migrations" / "versions"
# With the first release. Nobody ran what was before.
FIRST_RELEASED = "0007"

TAKES_AWAY = {
    "drops a column": r"\bDROP COLUMN\b",
    "drops a table": r"\bDROP TABLE\b",
    "drops a function that triggers or statements of the version before may call": r"\bDROP FUNCTION\b",
    "renames": r"\bRENAME (TO|COLUMN|CONSTRAINT)\b|\bRENAME \w+ TO\b",
    "changes a type": r"\bALTER COLUMN \w+ (SET DATA )?TYPE\b",
    "demands a value that the version before does not give": r"\bSET NOT NULL\b",
    "adds a column that the version before does not fill": (
        r"\bADD COLUMN (?![^,;]*\b(DEFAULT|GENERATED)\b)[^,;]*\bNOT NULL\b"
    ),
    "empties a table": r"\bTRUNCATE\b",
}


def migrations() -> list[Path]:
    return sorted(VERSIONS.glob("[0-9]*_*.py"))


def statements(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"--[^\n]*", "", node.value)


def faults(sql: str) -> list[str]:
    spaced = " ".join(sql.split())
    return [fault for fault, pattern in TAKES_AWAY.items() if re.search(pattern, spaced, re.IGNORECASE)]


@pytest.mark.parametrize("path", migrations(), ids=lambda path: str(path.stem))
def test_a_migration_takes_nothing_from_the_version_before(path: Path) -> None:
    found = [fault for sql in statements(path) for fault in faults(sql)]
    if path.name.partition("_")[0] > FIRST_RELEASED:
        assert found == [], "first a version that does not use it, then one that takes it away: mixed-versions.md"


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE accounts DROP COLUMN credits",
        "alter table a\n  rename column b to c",
        "ALTER TABLE a RENAME TO b",
        "ALTER TABLE a ALTER COLUMN b TYPE text",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL",
        "ALTER TABLE a ADD COLUMN b int NOT NULL",
        "DROP TABLE a",
    ],
)
def test_what_takes_away_is_recognised(sql: str) -> None:
    assert faults(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0 CHECK (b >= 0), ADD COLUMN c text",
        "CREATE TABLE a (b int NOT NULL)",
        "CREATE INDEX ON a (b)",
        "ALTER TABLE a ADD COLUMN d text GENERATED ALWAYS AS (b || c) STORED",
    ],
)
def test_what_only_adds_is_let_pass(sql: str) -> None:
    assert not faults(sql)


def test_revisions_follow_each_other() -> None:
    """Without a gap or a fork: each names the one before it."""
    for before, path in zip([None, *migrations()], migrations(), strict=False):
        names = dict(
            re.findall(r'^(revision|down_revision) = "?(\w+)"?$', path.read_text(encoding="utf-8"), re.MULTILINE)
        )
        assert names["revision"] == path.name.partition("_")[0]
        assert names["down_revision"] == ("None" if before is None else before.name.partition("_")[0])
