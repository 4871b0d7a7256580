"""`python -m bench [NAME …]`: run the benchmarks one after another, each in a process of its own, and print what they print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.machine import fdatasyncs_per_second, machine


def main(names: list[str]) -> int:
    found = {path.stem.removeprefix("bench_"): path.stem for path in sorted(Path(__file__).parent.glob("bench_*.py"))}
    unknown = [name for name in names if name not in found]
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(found)}\n")
        return 2
    print(f"{machine()}; disk {fdatasyncs_per_second():.0f} fdatasync/s")
    failed = 0
    for name in names or found:
        print(f"\n## {name}: python -m bench.{found[name]}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{found[name]}"], check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
