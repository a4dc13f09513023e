"""Which addresses are public: judged after resolving, in whatever dress they come."""

from __future__ import annotations

import pytest
from img_open.storage.addresses import judge


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public_addresses_are_public(address: str) -> None:
    assert judge(address).kind == "public"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "::1",
        "fd12::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
    ],
)
def test_private_addresses_need_permission(address: str) -> None:
    verdict = judge(address)
    assert verdict.kind == "private"
    assert verdict.reason


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "fe80::1%eth0",
        "ff02::1",
        "fec0::1",
        "2001:db8::1",
    ],
)
def test_metadata_multicast_and_reserved_are_never_followed(address: str) -> None:
    assert judge(address).kind == "never"
