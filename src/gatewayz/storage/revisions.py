"""Which revisions of the schema there are: the names of the files in migrations/versions/, such as 0002_accounts.py."""

from pathlib import Path

# Any number, the same in every process: two that migrate at once do it one after the other.
SCHEMA_LOCK = 4_731_265

SCRIPTS = Path(__file__).parent / "migrations"


def head_revision() -> str:
    """The newest. Raises LookupError where no migration stands."""
    revisions = sorted(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))
    if not revisions:
        raise LookupError(f"no migration stands in {str(SCRIPTS)!r}: the installation is incomplete")
    return revisions[-1]
