"""The browser build of JavaScript `fhirclient`, unmodified: fetched once from npm into .tools/, and what is fetched is pinned by its hash.

Run as a program it prints the path of the file: `python -m tests.journeys.js_library`.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.journeys.browser import INSTALL_TIMEOUT_S, TOOLS, node_and_npm, run

VERSION = "2.6.3"
INTEGRITY = "CirZixcwWelbkIXxpxlNQx5+ZdJirl6F1s4y4yvA1X7hHAkr9n99aVHaMi0wX+97nATjKQ65X6NB5as/wZoJzg=="
"""SHA-512 of the package (Apache-2.0), as the registry publishes it."""
BUILD = "package/build/fhir-client.min.js"


class WrongPackageError(Exception):
    """What came from the registry is not what was pinned: nothing that a run may skip."""


def js_library(tools: Path = TOOLS) -> Path:
    """Find the cached build, or fetch it.

    Raises:
        BrowserUnavailableError: The registry does not answer.
        WrongPackageError: It sends something else.
    """
    kept = tools / f"fhirclient-{VERSION}.min.js"
    if not kept.exists():
        tools.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fhirclient-", dir=tools) as scratch:
            made = _fetched(Path(scratch))
            made.replace(kept)
    return kept


def _fetched(scratch: Path) -> Path:
    node, npm = node_and_npm()
    run([node, npm, "pack", f"fhirclient@{VERSION}", "--silent", "--ignore-scripts", "--pack-destination", str(scratch)], INSTALL_TIMEOUT_S)
    packed = scratch / f"fhirclient-{VERSION}.tgz"
    found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        message = f"fhirclient {VERSION} is not what was pinned: sha512-{found}"
        raise WrongPackageError(message)
    made = scratch / "fhir-client.min.js"
    with tarfile.open(packed) as archive:
        held = archive.extractfile(BUILD)
        if held is None:
            message = f"fhirclient {VERSION} holds no {BUILD}"
            raise WrongPackageError(message)
        made.write_bytes(held.read())
    return made


if __name__ == "__main__":
    sys.stdout.write(f"{js_library()}\n")
