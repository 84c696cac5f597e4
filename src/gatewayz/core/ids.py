"""Ids with a type of their own, so that one cannot stand where another belongs."""

import os
import re
from typing import NewType

AccountId = NewType("AccountId", int)
ApiKeyId = NewType("ApiKeyId", str)
KeyDigest = NewType("KeyDigest", str)
TrancheId = NewType("TrancheId", int)

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{8,128}")


def random_id(prefix: str) -> str:
    """A new id such as `req_3f…`: 96 random bits, URL-safe, unique for all practical purposes."""
    return f"{prefix}_{os.urandom(12).hex()}"


def request_id(offered: str | None) -> str:
    """The caller's own id where it is harmless to log and echo, else a new one."""
    if offered is not None and _SANE_REQUEST_ID.fullmatch(offered):
        return offered
    return random_id("req")
