"""What can be wrong with an Idempotency-Key."""

from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest


class StillRunning(GatewayzError):
    """The first request with this key has no answer yet."""

    kind = ErrorKind.IDEMPOTENCY_KEY_IN_USE
    retry_after = 1.0


class OtherRequest(InvalidRequest):
    """The key stands for another request."""

    kind = ErrorKind.IDEMPOTENCY_KEY_REUSED
