"""What the maker of an answer tells the workers that follow it."""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from gatewayz.core.errors import ErrorKind, GatewayzError, ProviderFailed
from gatewayz.responses.answer import Origin
from gatewayz.responses.flight import Failed
from gatewayz.responses.reasons import Reason


class Began(Struct, frozen=True, tag="began", array_like=True):
    provider: str
    content_type: str
    is_stream: bool


class Chunk(Struct, frozen=True, tag="chunk", array_like=True):
    data: bytes


class Ended(Struct, frozen=True, tag="ended", array_like=True):
    """All is there. Without an `origin` it is not fit to be kept, `why_not`."""

    origin: Origin | None
    created: float
    why_not: Reason | None


class Broke(Struct, frozen=True, tag="broke", array_like=True):
    """As `Failed`."""

    kind: ErrorKind
    message: str
    param: str | None
    retry_after: float | None
    is_shared: bool

    def failed(self) -> Failed:
        if self.kind is ErrorKind.PROVIDER_ERROR:
            error: GatewayzError = ProviderFailed(self.message)
            error.param = self.param
        else:
            error = GatewayzError(self.message, param=self.param, kind=self.kind)
        error.retry_after = self.retry_after
        return Failed(error, is_shared=self.is_shared)


class TooLong(Struct, frozen=True, tag="too long", array_like=True):
    """From here on nobody can follow."""


Record: TypeAlias = Began | Chunk | Ended | Broke | TooLong
Told: TypeAlias = list[Record]
"""What is told at one time."""

written = msgspec.msgpack.Encoder().encode
read = msgspec.msgpack.Decoder(Told).decode


def broke(failed: Failed) -> Broke:
    error = failed.error
    return Broke(error.kind, error.message, error.param, error.retry_after, failed.is_shared)
