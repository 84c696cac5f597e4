"""The reference is written by the code that it describes."""

from pathlib import Path

import pytest

from gatewayz.cli import reference
from gatewayz.settings import known_variables

COMMITTED = Path(__file__).parents[2] / "docs" / "reference"


def texts(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("reference")
    reference.write(directory)
    return texts(directory)


def test_the_committed_reference_is_what_the_code_says_now(written: dict[str, str]) -> None:
    committed = texts(COMMITTED)
    stale = sorted(name for name in written.keys() | committed.keys() if written.get(name) != committed.get(name))
    assert stale == [], "run `make docs` and commit what it changes"


def test_writing_again_changes_nothing_and_drops_pages_that_are_no_more(tmp_path: Path) -> None:
    (tmp_path / "of-a-former-release.md").write_text("gone")
    reference.write(tmp_path)
    first = texts(tmp_path)
    reference.write(tmp_path)
    assert texts(tmp_path) == first
    assert "of-a-former-release.md" not in first


def test_every_setting_has_a_row(written: dict[str, str]) -> None:
    assert [name for name in known_variables() if f"`{name}`" not in written["settings.md"]] == []


def test_nothing_of_this_machine_stands_in_the_reference(written: dict[str, str]) -> None:
    assert [name for name, text in written.items() if str(Path.home()) in text or str(Path.cwd()) in text] == []
