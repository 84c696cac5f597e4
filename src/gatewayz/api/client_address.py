"""From where a request comes, also behind proxies: `X-Forwarded-For` counts as far as trusted proxies wrote it."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gatewayz.api.answer import Scope, header_list

Network = IPv4Network | IPv6Network
_MOST_HOPS = 32


class ClientAddresses:
    """`trusted`: proxies of ours. Read from the right, the first address that is none of them is the client's: what
    stands further left is what the client says of itself.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def of(self, request: Scope) -> str | None:
        """None where it cannot be told: over a socket file, or where a trusted proxy forwards something unreadable."""
        client = request.get("client")
        if not client:
            return None
        if not self._trusted:
            return _plain(str(client[0]))
        forwarded = (header_list(request, b"x-forwarded-for") or b"").decode("latin-1")
        hops = [hop.strip() for hop in forwarded.rsplit(",", _MOST_HOPS)] if forwarded else []
        address = _plain(str(client[0]))
        while address is not None and hops and self._is_ours(address):
            address = _plain(hops.pop())
        return address

    def _is_ours(self, address: str) -> bool:
        found = ip_address(address)
        return any(found in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str | None:
    """Without zone and brackets; one of IPv4 that came over IPv6 as IPv4."""
    try:
        found: IPv4Address | IPv6Address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)
