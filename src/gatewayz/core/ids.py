"""Ids with a type of their own, so that one cannot stand where another belongs."""

import re
import secrets
from typing import NewType

AccountId = NewType("AccountId", int)
ApiKeyId = NewType("ApiKeyId", str)
KeyDigest = NewType("KeyDigest", str)
TrancheId = NewType("TrancheId", int)

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{8,128}")


_BYTES, _AT_ONCE = 12, 128
_ready: list[str] = []
"""Random parts of ids: a question to the system takes as long as forty of them, so they are had by the hundred."""


def random_id(prefix: str) -> str:
    """A new id such as `req_3f…`: 96 random bits, URL-safe, unique for all practical purposes. From any thread."""
    try:
        return f"{prefix}_{_ready.pop()}"
    except IndexError:
        taken = secrets.token_hex(_BYTES * _AT_ONCE)
        part, *rest = (taken[at : at + 2 * _BYTES] for at in range(0, len(taken), 2 * _BYTES))
        _ready.extend(rest)
        return f"{prefix}_{part}"


def request_id(offered: str | None) -> str:
    """The caller's own id where it is harmless to log and echo, else a new one."""
    if offered is not None and _SANE_REQUEST_ID.fullmatch(offered):
        return offered
    return random_id("req")
