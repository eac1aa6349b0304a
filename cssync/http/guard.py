"""Which URLs a connection may call. A credential never leaves for any other.

A vendor's host must match the connector's pattern in full and is called over https on its usual port. A host in
`allow_hosts` was named by the admin: http, another port and a private address are allowed there, and only there.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import httpcore

from cssync.errors import ConnectionFault

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?].*)?",
    re.IGNORECASE | re.DOTALL,
)
"""The URLs we accept at all. So plain that no two parsers can read them differently: no user name, no backslash, no
percent sign and no letter beyond ASCII before the path."""
_NUMERIC_HOST = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE)
_UNSAFE_PATH = re.compile(r"[\x00-\x20\x7f\\#]")
_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?=/|$)", re.IGNORECASE)
_DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, IPv6 in brackets) and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORT[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def split(url: str) -> tuple[Origin, str] | None:
    """Return the origin of an absolute URL and the rest of it (path and query); None for a URL we do not accept."""
    match = _URL.fullmatch(url)
    if not match:
        return None
    scheme, host = match["scheme"].lower(), match["host"].lower()
    return Origin(scheme, host, int(match["port"] or _DEFAULT_PORT[scheme])), match["rest"] or ""


def is_public(address: str) -> bool:
    """Is this IP address out on the internet, also when it is an IPv4 address in IPv6 clothes?"""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in ipaddress.IPv6Network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


@dataclass(frozen=True, slots=True)
class Guard:
    """The hosts of one connection: the connector's `hosts` pattern and the admin's `allow_hosts`."""

    connection: str
    hosts: str
    allow_hosts: tuple[str, ...] = ()

    def allowed(self, origin: Origin) -> bool:
        """Did the admin name this host (or host:port) in `allow_hosts`?"""
        bare = origin.host.strip("[]")
        return bool({bare, origin.host, f"{origin.host}:{origin.port}"} & {h.strip().lower() for h in self.allow_hosts})

    def base(self, url: str, origin_of: str) -> tuple[Origin, str]:
        """Check a base URL and return its origin and path without a trailing slash.

        `origin_of` says in the message where the URL came from.

        Raises:
            ConnectionFault: not a host of this connection; nothing was sent.
        """
        found = split(url)
        if found is None:
            raise self.refusal(origin_of, "is not a plain https URL")
        origin, rest = found
        if _NUMERIC_HOST.fullmatch(origin.host) or origin.host.startswith("["):
            try:
                ipaddress.ip_address(origin.host.strip("[]"))
            except ValueError:
                raise self.refusal(origin_of, f"has an odd numeric host {origin.host!r}") from None
            if not self.allowed(origin):
                raise self.refusal(origin_of, f"names the address {origin.host}, which is not in allow_hosts")
        elif not self.allowed(origin):
            if not re.fullmatch(self.hosts, origin.host):
                raise self.refusal(origin_of, f"names the host {origin.host}, which is not one of this vendor's")
            if origin.scheme != "https" or origin.port != 443:
                raise self.refusal(origin_of, f"must be https on the standard port, not {origin}")
        if "?" in rest or _UNSAFE_PATH.search(rest) or _DOTS.search(rest):
            raise self.refusal(origin_of, "has a query or an odd path")
        return origin, rest.rstrip("/")

    def target(self, path: str, base: Origin, prefix: str) -> str:
        """Return the absolute URL of a request: `path` below the base URL, or an absolute URL of the same origin.

        Raises:
            ConnectionFault: another origin, or a path that is not what it seems; nothing was sent.
        """
        if path.startswith("/") and not path.startswith("//"):
            rest = prefix + path
        else:
            found = split(path)
            if found is None:
                raise self.refusal("a link or path", "is neither a path that starts with / nor a plain URL")
            origin, rest = found
            if origin != base:
                raise self.refusal("a link", f"leads to {origin}, away from {base}")
        if _UNSAFE_PATH.search(rest):
            raise self.refusal("a path", "holds a space, a backslash, a # or a control character; encode its parts")
        if _DOTS.search(rest.partition("?")[0]):
            raise self.refusal("a path", "holds a . or .. segment; encode its parts")
        return f"{base}{rest}"

    def screen(self, path: str) -> None:
        """Refuse, before any login, what `target` would refuse whatever the base URL turns out to be.

        Raises:
            ConnectionFault: a foreign host or an odd path; nothing was sent.
        """
        found = None if path.startswith("/") else split(path)
        if found:
            self.base(str(found[0]), "a link")
        self.target(path, found[0] if found else Origin("https", "vendor", 443), "")

    def refusal(self, what: str, why: str) -> ConnectionFault:
        """The error for an address that this connection may not call."""
        return ConnectionFault(
            f"connection {self.connection!r}: {what} {why}; refused",
            kept="nothing was sent there, no credential left this machine",
            fix="correct base_url or the vendor's host settings of the connection; for a sandbox or test server add "
            "its host name to allow_hosts",
        )


class GuardedNetwork(httpcore.NetworkBackend):
    """Opens TCP connections to public addresses, and to private ones only for hosts in `allow_hosts`.

    The address that is checked is the one that is connected to: a name that resolves differently a moment later
    (DNS rebinding) gains nothing.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, connect to the first address that answers."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the host name cannot be resolved ({error})") from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        trusted = any(self._guard.allowed(Origin(s, host, port)) for s in ("http", "https"))
        private = next((a for a in addresses if not is_public(a)), None)
        if private and not trusted:
            raise self._guard.refusal(f"host {host}", f"resolves to {private}, which is not a public address")
        failure: Exception = httpcore.ConnectError("the host name has no address")
        for address in addresses:
            try:
                return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
