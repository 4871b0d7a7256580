"""Who runs a command: the account of the operating system, for the audit log."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chartloop.cli.options import settings_of
from chartloop.kernel.access.subject import Subject

if TYPE_CHECKING:
    from chartloop.kernel.operating import Operating


def operator(purpose: str = "HOPERAT") -> Subject:
    """Give whoever may read the data directory and runs this command."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Subject(id=f"os:{name}", role="", purpose=purpose)


@contextmanager
def operating(data: Path | None) -> Iterator[Operating]:
    """Open the kernel for one decision of an operator."""
    from chartloop.app import open_kernel
    from chartloop.kernel.operating import Operating

    with open_kernel(settings_of(data)) as kernel:
        yield Operating(kernel.database, kernel.audit, kernel.dead_letters)
