"""Whether an address may be called: https in public networks; private ones, and http with them, only where the settings allow it."""

import socket
from urllib.parse import urlsplit

from chartloop.kernel.egress import is_public
from chartloop.kernel.errors import Forbidden


class EgressRefused(Forbidden):
    """This address may not be called from here."""


def check_egress(url: str, *, allow_private: bool) -> None:
    """Raise EgressRefused unless every address of the host is a public one.

    Raises:
        OSError: The name does not resolve.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise EgressRefused("A payer's address must be http or https, with a host and without credentials.")
    if allow_private:
        return
    if parts.scheme != "https":
        raise EgressRefused("A payer's address must be https: a claim would travel in clear (egress.allow_private lets http be).")
    port = parts.port or 443
    for found in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM):
        if not is_public(str(found[4][0])):
            raise EgressRefused("A payer's address may not lead into a private network (egress.allow_private).")
