"""From where a request comes is what our own proxies say, not what the client does."""

from ipaddress import ip_network

import pytest

from gatewayz.api.client_address import ClientAddresses

TRUSTED = ("10.0.0.0/8", "fd00::/8")


def address(client: str | None, *forwarded: str, trusted: tuple[str, ...] = TRUSTED) -> str | None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    request = {"headers": headers, "client": None if client is None else (client, 1234)}
    return ClientAddresses([ip_network(each) for each in trusted]).of(request)


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("203.0.113.9",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("198.51.100.7, 203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        ("10.0.0.1", ("198.51.100.7", "203.0.113.9, 10.0.0.2"), "203.0.113.9"),
        ("10.0.0.1", ("10.0.0.3,10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("unknown",), None),
        ("10.0.0.1", ("203.0.113.9, ",), None),
        ("10.0.0.1", (",".join(["203.0.113.9"] * 100),), "203.0.113.9"),
        ("::ffff:10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("::ffff:192.0.2.1", (), "192.0.2.1"),
        ("fd00::1", ("[2001:db8::1]",), "2001:db8::1"),
        ("fe80::1%eth0", (), "fe80::1"),
        (None, ("203.0.113.9",), None),
        ("not an address", (), None),
    ],
)
def test_the_first_address_from_the_right_that_is_no_proxy_of_ours(
    client: str | None, forwarded: tuple[str, ...], expected: str | None
) -> None:
    assert address(client, *forwarded) == expected


def test_without_proxies_nobody_is_believed() -> None:
    assert address("10.0.0.1", "203.0.113.9", trusted=()) == "10.0.0.1"
