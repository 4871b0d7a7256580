"""The last number given to a new resource: later pages leave out what was made after the first."""

from chartloop.kernel.db import Session


def last_number(session: Session) -> int:
    """Return the last sequence number, as this session sees it."""
    if session.dialect == "postgresql":
        found = session.one("SELECT pg_sequence_last_value(pg_get_serial_sequence('rid_counter', 'n')::regclass)")
    else:
        found = session.one("SELECT n FROM rid_counter")
    return int(found[0]) if found and found[0] is not None else 0
