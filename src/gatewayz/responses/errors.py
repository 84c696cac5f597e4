"""What can go wrong with answers that are kept."""

from gatewayz.core.errors import ErrorKind, GatewayzError


class NotCached(GatewayzError):
    """Only an answer that is kept would do, and there is none."""

    kind = ErrorKind.NOT_CACHED
