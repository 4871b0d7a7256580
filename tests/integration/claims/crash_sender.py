"""A process that sends the queue of a store to a payer until it is killed."""

import sys
from pathlib import Path

from chartloop.kernel.db import open_database
from tests.integration.claims.world import World


def main() -> None:
    url, directory = sys.argv[1], Path(sys.argv[2])
    world = World(open_database(url), directory, timeout_s=20.0)
    world.worker.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
