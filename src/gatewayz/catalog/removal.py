"""Models that no list has had for long leave the catalog."""

from gatewayz.storage.outbox import Outbox

# `updated_at` of an inactive row is when it became so: syncs touch it no more.
_REMOVE = """
DELETE FROM models WHERE NOT is_active AND updated_at < now() - make_interval(days => $1) RETURNING true
"""
_FORGET_UNSOLD = """
DELETE FROM unique_models u WHERE NOT EXISTS (SELECT FROM unique_model_offers o WHERE o.unique_model_id = u.id)
"""


async def remove_inactive(outbox: Outbox, *, days: int) -> int:
    """Remove the offers that have been inactive for so many days, and models nobody offers any more; returns how many
    offers. Once it returns, no worker serves them. Raises Unavailable.
    """
    async with outbox.transaction() as connection:
        removed = await connection.fetch(_REMOVE, days)
        if removed:
            await connection.execute(_FORGET_UNSOLD)
    return len(removed)
