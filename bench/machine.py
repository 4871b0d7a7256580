"""Which machine a figure comes from: printed beside every figure."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """Processor, cores, Python and date, in one line."""
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def fdatasyncs_per_second(seconds: float = 1.0, directory: Path | None = None) -> float:
    """How often this disk makes 4 KiB durable in a second, one at a time."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        block, count, started = b"x" * 4096, 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            count += 1
        return count / elapsed
