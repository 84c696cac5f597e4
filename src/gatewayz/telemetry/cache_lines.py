"""Lines in the log for each use of the cache, at debug."""

import hashlib

import structlog

log = structlog.get_logger("gatewayz.cache")

_PUBLIC = "models:"
"""Keys of these entities stand in the catalog, which anybody may read; others may name an account or a user."""


def log_use(use: str, entity: str, key: str | None) -> None:
    """`Cache HIT`, `Cache MISS` and so on. A key that may name somebody is told by a digest, by which its lines can be
    found.
    """
    if key is None:
        shown = "every key"
    elif entity.startswith(_PUBLIC):
        shown = key
    else:
        shown = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
    event = f"Cache {use}"
    log.debug(event, entity=entity, key=shown)
