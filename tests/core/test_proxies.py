"""The address of a client behind proxies."""

import pytest

from sse_sync import ConfigurationError
from sse_sync.proxies import client_address, parse_proxies
from sse_sync.settings import Options


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        ([], "192.0.2.1", None, "192.0.2.1"),
        # Without a trusted proxy, anybody could have written it.
        ([], "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (["10.0.0.0/8"], "192.0.2.1", "198.51.100.7", "192.0.2.1"),
        (["10.0.0.0/8"], "10.1.2.3", "198.51.100.7", "198.51.100.7"),
        # The client wrote the first; the proxy the last.
        (["10.0.0.1"], "10.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.1", "1.1.1.1, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.1", "10.9.9.9", "10.9.9.9"),
        (["10.0.0.0/8"], "10.0.0.1", None, "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "rubbish", "unknown"),
        (["unix"], "", "198.51.100.7", "198.51.100.7"),
        (["unix"], "unix:", "198.51.100.7:1234", "198.51.100.7"),
        (["10.0.0.0/8"], "", "198.51.100.7", "unknown"),
        ([], "", None, "unknown"),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", "198.51.100.7", "198.51.100.7"),
        (["::1", "127.0.0.1"], "::ffff:127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        # A customer can choose addresses from a /64 network.
        ([], "2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        (["127.0.0.1"], "127.0.0.1", "[2001:db8:1:2:3:4:5:6]:99", "2001:db8:1:2::/64"),
        ([], "fe80::1%eth0", None, "fe80::/64"),
    ],
)
def test_client_address(proxies, peer, forwarded, address):
    """Only what a trusted proxy wrote counts."""
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    assert client_address(environ, parse_proxies(proxies)) == address


@pytest.mark.parametrize("given", [7, ["10.0.0.0/99"], [None], ["nginx"], "localhost"])
def test_what_is_no_proxy(given):
    """The error says what is expected."""
    with pytest.raises(ConfigurationError, match="a list of addresses and networks"):
        Options.read({"TRUSTED_PROXIES": given}, "")


def test_one_proxy():
    """A single one needs no list."""
    (network,) = Options.read({"TRUSTED_PROXIES": "10.0.0.1"}, "").trusted_proxies
    assert str(network) == "10.0.0.1/32"
