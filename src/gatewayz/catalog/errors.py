"""Why a provider's list was refused. In each case the last good list stays as it was."""

from gatewayz.core.errors import GatewayzError


class ListRefused(GatewayzError):
    """The list arrived whole, but cannot be believed."""


class ListTooShort(ListRefused):
    pass


class PricesImplausible(ListRefused):
    """So many prices are far from everybody else's that the price unit must be wrong."""
