"""Where events travel: `table`, `kafka://host:port[,host:port]` or `kinesis://region/stream`."""

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from chartloop.kernel.errors import Invalid

_SERVER: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_STREAM: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Address(NamedTuple):
    """A kind of bus, and where it is: brokers, or region and name."""

    kind: str
    servers: tuple[str, ...] = ()
    region: str = ""
    stream: str = ""

    @property
    def at_home(self) -> bool:
        """Whether every broker is on this machine."""
        return all(_is_loopback(server.rpartition(":")[0].strip("[]")) for server in self.servers)


def address_of(url: str) -> Address:
    """Read bus.url.

    Raises:
        Invalid: It names no bus that is built.
    """
    if url == "table":
        return Address("table")
    kind, _, rest = url.partition("://")
    if kind == "kafka":
        servers = tuple(rest.rstrip("/").split(","))
        if all(_SERVER.fullmatch(server) for server in servers):
            return Address("kafka", servers)
        raise Invalid("bus.url names brokers as kafka://host:port,host:port; accounts and passwords have settings of their own.")
    if kind == "kinesis":
        parts = urlsplit(url)
        if _STREAM.fullmatch(parts.netloc) and _STREAM.fullmatch(parts.path.strip("/")):
            return Address("kinesis", region=parts.netloc, stream=parts.path.strip("/"))
        raise Invalid("bus.url names a stream as kinesis://region/stream.")
    raise Invalid("bus.url is table, kafka://host:port[,host:port] or kinesis://region/stream.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
