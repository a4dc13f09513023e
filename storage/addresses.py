"""Which network addresses a link may lead to.

A server that fetches links for strangers must not become their window into the network it stands in
("server-side request forgery"). The check is made on resolved addresses, never on the spelling of a host:
`127.0.0.1`, `2130706433`, `0x7f.1`, `localhost`, `::ffff:127.0.0.1` and a public name that resolves to
loopback are all the same address in the end.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Networks that Python's `is_private` does not call private in every supported version, with what they are.
_NEVER: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "unspecified"),
    ("169.254.0.0/16", "link-local (cloud metadata lives there)"),
    ("168.63.129.16/32", "a cloud provider's metadata service"),
    ("100.100.100.200/32", "a cloud provider's metadata service"),
    ("fd00:ec2::254/128", "a cloud provider's metadata service"),
    ("192.0.0.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("100::/64", "reserved"),
    ("2001:db8::/32", "reserved"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_PRIVATE: tuple[tuple[str, str], ...] = (
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a provider's customers"),
    ("127.0.0.0/8", "loopback"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "reserved for benchmarks; local proxies in fake-ip mode answer with it"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True)
class Verdict:
    """What one address is.

    Attributes:
        kind: `public`, `private` (allowed with allow_private) or `never`.
        reason: a word for people, empty for public ones.
    """

    kind: str
    reason: str = ""


def judge(address: str) -> Verdict:
    """Judges a numeric IPv4 or IPv6 address (a zone such as `%eth0` is ignored).

    IPv4 addresses inside IPv6 ones (mapped, compatible, NAT64, 6to4, Teredo) are judged as themselves.
    """
    ip: IPAddress = ipaddress.ip_address(address.partition("%")[0])
    for candidate in (ip, *_embedded(ip)):
        for table, kind in ((_NEVER, "never"), (_PRIVATE, "private")):
            for network, reason in table:
                net = ipaddress.ip_network(network)
                if candidate.version == net.version and candidate in net:
                    return Verdict(kind, reason)
        if _embedded(candidate):
            continue  # ::ffff:0:0/96 and ::/96 count as reserved themselves; what they carry decides
        if candidate.is_loopback or candidate.is_private:
            return Verdict("private", "private")
        if candidate.is_link_local or candidate.is_multicast or candidate.is_reserved:
            return Verdict("never", "reserved")
    return Verdict("public")


def _embedded(ip: IPAddress) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 one stands for."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ()
    if ip.ipv4_mapped is not None:
        return (ip.ipv4_mapped,)
    if ip.sixtofour is not None:
        return (ip.sixtofour,)
    if ip.teredo is not None:
        return ip.teredo
    if any(ip in network for network in _NAT64):
        return (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF),)
    if ip in _IPV4_COMPATIBLE and int(ip) > 1:
        return (ipaddress.IPv4Address(int(ip)),)
    return ()
