"""References and links as addresses of this server; what points anywhere else stays text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit

_RELATIVE: Final = re.compile(r"[A-Z][A-Za-z]{2,63}/[A-Za-z0-9.\-]{1,64}(?:/_history/[0-9]{1,18})?", re.ASCII)


class Addresses:
    """Makes links under the public base URL of the API, as paths: a page never leads away from its own server."""

    def __init__(self, base: str) -> None:
        """Take the base URL, such as https://clinic.example/fhir."""
        self._base = base.rstrip("/")
        self.path = urlsplit(self._base).path

    def of_reference(self, said: str) -> str:
        """Give the path that a reference leads to; "" where it leads out of this server, or nowhere."""
        local = said.removeprefix(f"{self._base}/")
        if local.startswith("#"):
            return ""
        return f"{self.path}/{local}" if _RELATIVE.fullmatch(local) else ""

    def of_link(self, url: str) -> str:
        """Give the path of a link of a Bundle; "" for another server's."""
        if url != self._base and not url.startswith((f"{self._base}/", f"{self._base}?")):
            return ""
        return self.path + url[len(self._base) :]

    def of(self, *steps: str, **query: str) -> str:
        """Give the path of something of ours."""
        asked = "&".join(f"{name}={quote(value, safe='/|:')}" for name, value in query.items())
        return "/".join([self.path, *(quote(step, safe="$_") for step in steps)]) + (f"?{asked}" if asked else "")
