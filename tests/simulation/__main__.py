"""`python -m tests.simulation --steps N --seed S`: a long run, or one seed again."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.simulation.running import Failed, Stores, now_s, run, run_one
from tests.simulation.stores import PostgresqlStores, SqliteStores


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="one seed as a failure told it, such as 1/17")
    parser.add_argument("--database", default="", help="an empty PostgreSQL database; SQLite in memory without it")
    options = parser.parse_args()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="chartloop-simulation-", dir=memory if memory.is_dir() else None) as name:
        stores: Stores = PostgresqlStores(options.database, Path(name)) if options.database else SqliteStores(Path(name))
        began = now_s()

        def told(steps: int, events: int) -> None:
            if steps % 10_000 == 0:
                say(f"{steps:>10,} steps  {events:>10,} events  {now_s() - began:>8.0f} s")

        try:
            events = run_one(stores, options.only, options.steps) if options.only else run(stores, options.seed, options.steps, told)
        except Failed as failed:
            say(str(failed))
            return 1
    say(f"clean: {options.steps:,} steps, {events:,} events, {now_s() - began:.0f} s, seed {options.only or options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
