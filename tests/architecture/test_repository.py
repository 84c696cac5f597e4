"""What must hold of files that are not code."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md"))
    if path.is_file()
)
LOCKS = sorted(path for path in ROOT.iterdir() if re.search(r"\.lock$|-lock\.json$|^requirements.*\.txt$", path.name))

_FENCED = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_INLINE_CODE.sub("code", prose(page))):
        if "://" not in target and not target.startswith("mailto:"):
            yield unquote(target)


def anchors(page: Path) -> set[str]:
    """As the usual hosts make them: lower case, spaces to hyphens, punctuation gone."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(prose(page))
    }


def is_broken(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or bool(anchor and target.suffix == ".md" and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if is_broken(page, link)] == []


def test_every_page_of_the_documents_is_listed() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert [path for path in PAGES if ROOT / "docs" in path.parents and path not in {index, *listed}] == []


def test_no_lock_names_a_registry() -> None:
    """A lock that names one sends everybody's installer there, past the index that they have configured."""
    assert LOCKS, "the locks have moved: look for them where they are"
    assert [path.name for path in LOCKS if "://" in path.read_text(encoding="utf-8")] == []
