"""What can go wrong with jobs."""

from gatewayz.core.errors import Conflict, ErrorKind, GatewayzError, InvalidRequest


class NoSuchJob(GatewayzError):
    kind = ErrorKind.NOT_FOUND


class NoDryRun(InvalidRequest):
    """It cannot say what it would do without doing it."""


class AskedTooOften(Conflict):
    """More runs of it wait than anybody can mean."""
