"""Who runs a command: the account of the operating system, for the audit log."""

from __future__ import annotations

import os
import pwd

from chartloop.kernel.access.subject import Subject


def operator(purpose: str = "HOPERAT") -> Subject:
    """Give whoever may read the data directory and runs this command."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Subject(id=f"os:{name}", role="", purpose=purpose)
