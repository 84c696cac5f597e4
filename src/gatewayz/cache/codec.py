"""Values as bytes: msgpack in an envelope, compressed from 2 KB on, checked against the declared type on the
way back.
"""

import asyncio
from typing import Any, Generic, TypeVar

import msgspec
import zstandard

from gatewayz.cache.entity import Entity
from gatewayz.cache.errors import CacheError

V = TypeVar("V")

COMPRESSED_FROM = 2 * 1024
DECODED_ASIDE_FROM = 256 * 1024
LEVEL = 1
LARGEST = 512 * 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes of another making: text that is no UTF-8, parts nested without end."""


class Rubbish(Exception):
    """The bytes are no value of this entity."""


class Life(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When the load of a value began and how long it is good for: Unix seconds, so that workers can compare.

    `refresh_at`: from when on a new one should be loaded in the background; infinity for never. `cost`: seconds that
    the load took.
    """

    created: float
    refresh_at: float
    fresh_until: float
    stale_until: float
    version: str | None = None
    tags: tuple[str, ...] = ()
    cost: float = 0


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What stands in Redis. No `payload` means absent. `generations` are those of the life's tags, in their order."""

    life: Life
    zipped: bool
    payload: bytes | None
    generations: tuple[bytes, ...] = ()


class Codec(Generic[V]):
    """Encodes and decodes the values of one entity. Compression keeps its working memory, which no two threads may
    share: beside the event loop each value gets its own.
    """

    def __init__(self, entity: Entity[Any, V]) -> None:
        self._decode = msgspec.msgpack.Decoder(entity.value).decode
        self._large = entity.large
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    async def payload(self, value: V | None) -> tuple[bytes | None, bool]:
        """The bytes of a value and whether they are compressed; large values are encoded in a thread. Raises CacheError
        for a value that has no encoding.
        """
        if value is None:
            return None, False
        if self._large:
            return await asyncio.to_thread(_pack, value, zstandard.ZstdCompressor(level=LEVEL))
        return _pack(value, self._compressor)

    async def value(self, envelope: Envelope) -> V | None:
        """Raises Rubbish. Large payloads are decoded in a thread."""
        if envelope.payload is not None and len(envelope.payload) > DECODED_ASIDE_FROM:
            apart = zstandard.ZstdDecompressor()
            return await asyncio.to_thread(self.value_now, envelope, apart)
        return self.value_now(envelope)

    def value_now(self, envelope: Envelope, decompressor: zstandard.ZstdDecompressor | None = None) -> V | None:
        """Raises Rubbish. For payloads that are not large; for others in a thread with a decompressor of its own."""
        payload = envelope.payload
        if payload is None:
            return None
        try:
            if envelope.zipped:
                if zstandard.frame_content_size(payload) > LARGEST:
                    raise Rubbish("it claims to be larger than any value")
                payload = (decompressor or self._decompressor).decompress(payload)
            return self._decode(payload)
        except (*_UNREADABLE, zstandard.ZstdError) as error:
            raise Rubbish(str(error)) from error


def _pack(value: object, compressor: zstandard.ZstdCompressor) -> tuple[bytes, bool]:
    """Compressed only where that spares a third, as it does with rows and prose: every read pays for it, and for text
    without repetition (keys, digests) twice as much as its bytes on the wire cost.
    """
    try:
        payload = _encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CacheError(
            f"the loader gave a value that cannot be encoded ({type(error).__name__}): integers have 64 bits, text is "
            "UTF-8"
        ) from error
    if len(payload) < COMPRESSED_FROM:
        return payload, False
    compressed = compressor.compress(payload)
    return (compressed, True) if len(compressed) * 3 <= len(payload) * 2 else (payload, False)


def unpacked_length(payload: bytes | None, zipped: bool) -> int:  # noqa: FBT001  called for each read
    """Bytes of the encoding before it was compressed, as the payload itself says; 0 for an absence."""
    if payload is None:
        return 0
    return zstandard.frame_content_size(payload) if zipped else len(payload)


_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


def sealed(envelope: Envelope) -> bytes:
    return _encode(envelope)


def opened(raw: bytes) -> Envelope:
    """Raises Rubbish."""
    try:
        return _decode_envelope(raw)
    except _UNREADABLE as error:
        raise Rubbish(str(error)) from error
