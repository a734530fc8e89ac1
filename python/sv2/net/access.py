"""Who may connect, by IP address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class AccessList:
    """Networks whose peers are permitted: those in one of ``allow`` and in none of ``deny``.

    Networks are as in ``192.0.2.0/24`` and ``2001:db8::/32``; :class:`ValueError` for what is
    none. IPv4 in IPv6 counts as IPv4.
    """

    def __init__(
        self, *, allow: Iterable[str] = ("0.0.0.0/0", "::/0"), deny: Iterable[str] = ()
    ) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allow]
        self._denied = [ipaddress.ip_network(network) for network in deny]

    def permits(self, host: str) -> bool:
        """Whether the peer at ``host``, an IP address with or without a zone, may connect."""
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._allowed) and not any(
            address in network for network in self._denied
        )
