"""What can go wrong with a provider before it answers a single request.

GatewayzError
├── ProviderFailed
│   ├── ListingUnavailable    the model list could not be had (status, timeout, connection)
│   └── BrokenListing         something came, but it is no model list; the last good one is kept
└── ProviderMisconfigured     settings that cannot work; the message names the setting
"""

from gatewayz.core.errors import ErrorKind, GatewayzError, ProviderFailed


class ListingUnavailable(ProviderFailed):
    pass


class BrokenListing(ProviderFailed):
    pass


class ProviderMisconfigured(GatewayzError):
    kind = ErrorKind.PROVIDER_NOT_CONFIGURED
