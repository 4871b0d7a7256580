"""What a password costs: argon2id with the parameters of the product, alone and four at once: `python -m bench.bench_login [--count N]`."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.machine import machine
from smart_apps.people.passwords import AT_ONCE, hashed, matches

PASSWORD = "seven quiet herons"


def timed(name: str, work: Callable[[], object], count: int) -> float:
    """Print milliseconds by the clock and of the processor, which other work on the machine disturbs less; return the median of the latter."""
    taken, busy = [], []
    for _ in range(count):
        begun, spent = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
        busy.append((time.process_time() - spent) * 1000)
    taken.sort()
    busy.sort()
    print(f"{name:<34} n={count:4}  least {taken[0]:6.1f} ms  p50 {statistics.median(taken):6.1f} ms  p95 {taken[int(count * 0.95)]:6.1f} ms; "
          f"processor: least {busy[0]:6.1f} ms  p50 {statistics.median(busy):6.1f} ms")  # fmt: skip
    return statistics.median(busy)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    print(f"python -m bench.bench_login {' '.join(sys.argv[1:])}; {machine()}; load average {os.getloadavg()[0]:.1f}")
    kept = hashed(PASSWORD)
    timed("hash a password", lambda: hashed(PASSWORD), count)
    right = timed("the right password", lambda: matches(kept, PASSWORD), count)
    timed("a wrong password", lambda: matches(kept, PASSWORD + "!"), count)
    nobody = timed("a login that nobody has", lambda: matches("", PASSWORD), count)
    print(f"nobody takes {nobody / right:.2f} of the processor time of somebody")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        timed(f"{AT_ONCE} at once, until the last is done", lambda: list(pool.map(lambda _: matches(kept, PASSWORD), range(AT_ONCE))), max(1, count // AT_ONCE))


if __name__ == "__main__":
    main()
