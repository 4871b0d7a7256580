"""`python -m tests.advisories`: known vulnerabilities of everything that is pinned, by pip-audit; skipped, and said so, where no database answers.

Offline, pip-audit calls what it could not ask about clean, or with --strict a failure. So it is first asked about a release that is known to be
vulnerable: only if it finds that is its silence about ours worth something.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ("jinja2==2.4.1", "CVE-2014-0012")
"""An old release that nobody installs here, and one of its advisories."""


TIMEOUT_S = 120


def audit(requirements: Path) -> subprocess.CompletedProcess[str]:
    """Ask about pinned requirements, without installing anything."""
    command = [sys.executable, "-m", "pip_audit", "--strict", "--requirement", str(requirements), "--no-deps", "--disable-pip", "--progress-spinner", "off", "--aliases", "on"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {TIMEOUT_S} s")


def main() -> int:
    """Audit constraints.txt; 0 when nothing is known, or nobody could be asked."""
    with tempfile.TemporaryDirectory() as directory:
        control = Path(directory) / "known.txt"
        control.write_text(f"{KNOWN[0]}\n", encoding="utf-8")
        asked = audit(control)
    said = asked.stdout + asked.stderr
    if KNOWN[1] not in said:
        reason = (said.strip().splitlines() or ["no answer"])[-1]
        sys.stdout.write(f"SKIPPED pip-audit: no advisory database can be reached: it does not know {KNOWN[1]} of {KNOWN[0]} ({reason[:160]})\n")
        return 0
    found = audit(ROOT / "constraints.txt")
    sys.stdout.write(found.stdout + found.stderr)
    return found.returncode


if __name__ == "__main__":
    raise SystemExit(main())
