"""What somebody may have meant who wrote a name that is none."""

import difflib
from collections.abc import Collection


def hint(name: str, known: Collection[str], otherwise: str) -> str:
    """The end of a sentence: the nearest name there is, or `otherwise` where none is near."""
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise
