"""Where unix sockets can lie: their paths are bounded by the kernel."""

import os
from pathlib import Path

_MAX_PATH_BYTES = 100  # the kernel's limit is 104 on macOS and 108 on Linux, with a closing zero

SHORT_PLACE = Path("/tmp")  # noqa: S108  each who makes something there sees to it that it is nobody else's
"""For what would be too long elsewhere. Not $TMPDIR: processes that share a data directory must agree on it."""


def is_short_enough(socket: Path) -> bool:
    return len(os.fsencode(socket)) < _MAX_PATH_BYTES
