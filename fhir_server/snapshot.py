"""The last number given to a new resource: later pages leave out what was made after the first."""

from chartloop.kernel.db import Session


def last_number(session: Session) -> int:
    """Return the last sequence number, as this session sees it."""
    return last_number_and_parameters(session)[0]


def last_number_and_parameters(session: Session) -> tuple[int, int]:
    """Return the last sequence number and the version of the search parameters, with one look."""
    last = "pg_sequence_last_value(pg_get_serial_sequence('rid_counter', 'n')::regclass)" if session.dialect == "postgresql" else "(SELECT n FROM rid_counter)"
    found = session.one(f"SELECT {last}, (SELECT version FROM search_version)")
    return (int(found[0] or 0), int(found[1] or 0)) if found else (0, 0)
