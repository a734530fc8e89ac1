"""``stratum2+tcp`` URLs: what is read, and that a bad one never becomes a weaker one."""

from __future__ import annotations

import pytest
from connections import AUTHORITY
from sv2.address import Address, AddressError
from sv2.noise import KeyFormatError

# Spec 4.7.
EXAMPLE = "stratum2+tcp://thepool.com:34254/9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"
KEY = EXAMPLE.rpartition("/")[2]


def test_the_example_of_the_specification_is_read() -> None:
    address = Address.parse(EXAMPLE)
    assert (address.host, address.port) == ("thepool.com", 34254)
    assert str(address.authority) == KEY
    assert str(address) == EXAMPLE


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("stratum2+tcp://h:1", "h", 1),
        ("stratum2+tcp://h:65535/", "h", 65535),
        ("STRATUM2+TCP://Host.Example:8442", "host.example", 8442),
        ("192.0.2.1:3333", "192.0.2.1", 3333),
        ("[2001:db8::1]:3333", "2001:db8::1", 3333),
        ("stratum2+tcp://[::1]:3333", "::1", 3333),
    ],
)
def test_addresses_without_a_key(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, address.authority) == (host, port, None)
    assert Address.parse(str(address)) == address


def test_a_key_may_follow_any_form_of_address() -> None:
    for host in ("h", "192.0.2.1", "[::1]"):
        address = Address.parse(f"{host}:5/{AUTHORITY.public_key}")
        assert address.authority == AUTHORITY.public_key
        assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        ":1",
        "h:0",
        "h:65536",
        "h:-1",
        "h:port",
        "http://h:1",
        "stratum+tcp://h:1",
        "stratum2+tcp://user:word@h:1",
        "stratum2+tcp://h:1/?query",
        "stratum2+tcp://h:1/#part",
        "stratum2+tcp://[::1:1",
        "stratum2+tcp://" + "h" * 600 + ":1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        Address.parse(text)


@pytest.mark.parametrize("key", [KEY[:-1], KEY[:-1] + "z", KEY + "/x", "x", KEY + KEY, "%20"])
def test_a_bad_key_is_an_error_and_never_no_key(key: str) -> None:
    with pytest.raises(KeyFormatError):
        Address.parse(f"stratum2+tcp://h:1/{key}")
