"""Where answers are kept."""

from typing import Any

from gatewayz.cache.entity import Entity, Policy
from gatewayz.responses.answer import CachedAnswer
from gatewayz.responses.key import Tenant
from gatewayz.responses.vector import Vector

CHAT: Entity[str, CachedAnswer] = Entity(
    name="chat",
    value=CachedAnswer,
    policy=Policy(fresh=3600, stale=14_400),
    tags=("account", "key", "model", "custom"),
    is_secret=True,
    is_given=True,
)

EMBED: Entity[str, Vector] = Entity(
    name="embed",
    value=Vector,
    policy=Policy(fresh=86_400, load_within=600),
    tags=CHAT.tags,
    is_secret=True,
    is_given=True,
)
"""One of each text. Attempts at providers have deadlines of their own, so that a load ends."""

ENTITIES: tuple[Entity[Any, Any], ...] = (CHAT, EMBED)


def tags_of(tenant: Tenant, model: str, custom: tuple[str, ...]) -> tuple[str, ...]:
    """By what an answer can be purged. A caller's own tags are of its account only."""
    return (
        f"account:{tenant.account_id}",
        f"key:{tenant.key_id}",
        f"model:{model}",
        *(f"custom:{tenant.account_id}:{tag}" for tag in custom),
    )
