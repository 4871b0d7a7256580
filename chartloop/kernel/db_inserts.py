"""INSERT statements for many rows at once: on both databases a statement costs more than the rows that it brings."""

import re
from functools import lru_cache

ROWS = 32
"""Most rows in one INSERT; every number of rows is a statement of its own, which the database prepares once."""

_PLAIN = re.compile(r"^(INSERT INTO [^?']* VALUES )(\([^']*\?[^']*\))( ON CONFLICT[a-z_, ()]* DO NOTHING)?$", re.DOTALL)


@lru_cache(maxsize=4096)
def for_rows(sql: str, count: int) -> str | None:
    """Write an INSERT of one row for so many; None where it is no such INSERT."""
    found = _PLAIN.search(sql)
    return f"{found[1]}{', '.join([found[2]] * count)}{found[3] or ''}" if found else None
