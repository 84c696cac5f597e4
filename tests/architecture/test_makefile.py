"""What `make test` runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def directories(name: str) -> list[str]:
    (found,) = re.findall(rf"^{name} +:= (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return str(found).split()


def test_every_test_is_in_the_fast_or_in_the_slow_part() -> None:
    listed = [*directories("FAST"), *directories("SLOW")]
    assert sorted(listed) == sorted({str(path.parent.relative_to(ROOT)) for path in ROOT.glob("tests/*/test_*.py")})
    assert not list(ROOT.glob("tests/*/*/test_*.py")), "deeper ones are in no directory that is listed"
