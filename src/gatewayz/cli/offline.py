"""The offline catalog, where commands need it. Workers do not: the price data takes 22 MB of memory."""

from datetime import UTC, datetime

from gatewayz.providers.listing import Listing
from gatewayz.providers.offline import offline_listings


def named_offline_lists() -> dict[str, tuple[str, Listing]]:
    """Name and today's list of every provider in the offline price data, by slug."""
    return {slug: (name, listing) for slug, name, listing in offline_listings(datetime.now(UTC).date())}


def offline_lists() -> dict[str, Listing]:
    """Today's list of every provider in the offline price data, by slug."""
    return {slug: listing for slug, (_, listing) in named_offline_lists().items()}
