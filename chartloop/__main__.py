"""Let `python -m chartloop` be the command `chartloop`."""

from chartloop.cli.main import main

if __name__ == "__main__":
    main()
