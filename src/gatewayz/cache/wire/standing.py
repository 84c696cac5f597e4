"""What a server says of itself: whether it leads, and which history of writes it has."""

from typing import Any

from hiredis import ReplyError
from msgspec import Struct

from gatewayz.cache.wire.exchange import Command

ASK_STANDING: Command = ("INFO", "replication")


class Standing(Struct, frozen=True):
    """`history`: the replication id. A server that takes over goes on under a new one; None where we may not know."""

    leads: bool
    history: str | None


def standing_of(hello: Any, info: Any) -> Standing:  # noqa: ANN401  as they come
    """From the replies to HELLO and to `ASK_STANDING`, either of which may be a refusal."""
    leads = not isinstance(hello, dict) or hello.get(b"role", b"master") == b"master"
    if isinstance(info, ReplyError) or not isinstance(info, bytes):
        return Standing(leads, None)
    facts = dict(line.split(":", 1) for line in info.decode(errors="replace").splitlines() if ":" in line)
    return Standing(leads and facts.get("role", "master") == "master", facts.get("master_replid"))
