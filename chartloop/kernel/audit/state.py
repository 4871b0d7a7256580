"""What the log remembers of itself between two runs, by name."""

from chartloop.kernel.db_session import Session, Tx


def value(session: Session, name: str) -> str:
    """Return what was remembered; empty where nothing was."""
    row = session.one("SELECT value FROM audit_state WHERE name = ?", (name,))
    return str(row[0]) if row else ""


def remember(tx: Tx, name: str, text: str) -> None:
    """Remember from the commit on."""
    tx.run("INSERT INTO audit_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, text))


def forget(tx: Tx, name: str) -> None:
    """Forget from the commit on."""
    tx.run("DELETE FROM audit_state WHERE name = ?", (name,))
