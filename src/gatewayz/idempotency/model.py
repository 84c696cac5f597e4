"""A request that is to happen once, and its answer."""

from msgspec import Struct

from gatewayz.core.ids import ApiKeyId


class Once(Struct, frozen=True):
    """Which request: the caller's name for it, which is unique to one API key, and a digest of what it asks."""

    key_id: ApiKeyId
    name: str
    fingerprint: bytes


class KeptAnswer(Struct, frozen=True):
    """A whole 200 as it was given the first time."""

    content_type: str
    body: bytes


class Claim(Struct, frozen=True):
    """The right to run the request, until it is kept, given up, or not renewed in time.

    `generation`: the id under which it is charged. Who takes over from a worker that died gets the same one, so that
    whatever was charged already is not charged again.
    """

    once: Once
    generation: str
    token: str
