"""The database keeps what it acknowledged and nothing else, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Callable

import pytest

from chartloop.kernel.db import Database, Session, Tx
from chartloop.kernel.errors import Conflict, Unavailable


@pytest.fixture
def database(database: Database) -> Database:
    """The database with a table of these tests' own: what is declared for the product would be there for every other test."""
    kind = "BLOB" if database.dialect == "sqlite" else "BYTEA"
    database.write(lambda tx: tx.run(f"CREATE TABLE test_note (id BIGINT NOT NULL PRIMARY KEY, body {kind})"))
    return database


def _insert(tx: Tx, number: int, body: bytes = b"") -> None:
    tx.run("INSERT INTO test_note (id, body) VALUES (?, ?)", (number, body))


def test_what_was_written_is_read_back_byte_for_byte(database: Database) -> None:
    database.write(lambda tx: _insert(tx, 1 << 60, b"\x00 50 % of ? '\xff"))
    with database.read() as session:
        assert session.one("SELECT id, body FROM test_note WHERE id = ?", (1 << 60,)) == (1 << 60, b"\x00 50 % of ? '\xff")
        assert session.one("SELECT '?', '%' FROM test_note WHERE id > ?", (0,)) == ("?", "%")


def test_a_write_returns_what_its_work_returns(database: Database) -> None:
    assert database.write(lambda tx: tx.one("SELECT 40 + 2")) == (42,)


@pytest.mark.conformance("What must be real underneath", "write queue: an exception takes back the work of its caller alone")
def test_an_exception_takes_back_the_work_and_reaches_the_caller(database: Database) -> None:
    def fail(tx: Tx) -> None:
        _insert(tx, 1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(fail)
    with database.read() as session:
        assert session.all("SELECT id FROM test_note") == []


def test_a_double_key_is_a_conflict_that_names_no_value(database: Database) -> None:
    database.write(lambda tx: _insert(tx, 77_123))
    with pytest.raises(Conflict) as caught:
        database.write(lambda tx: _insert(tx, 77_123))
    assert "77" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.conformance("What must be real underneath", "write queue: an exception takes back the work of its caller alone")
def test_many_threads_write_and_one_failure_is_one_callers_own(database: Database) -> None:
    outcomes: dict[int, object] = {}

    def write(number: int) -> None:
        try:
            outcomes[number] = database.write(lambda tx: _insert(tx, number % 40))
        except Conflict as error:
            outcomes[number] = error

    threads = [threading.Thread(target=write, args=(number,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.one("SELECT count(*) FROM test_note") == (40,)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes.values()) == 8


def test_an_action_runs_after_the_commit_and_only_then(database: Database) -> None:
    seen: list[object] = []

    def work(tx: Tx) -> None:
        _insert(tx, 1)
        tx.after_commit(lambda: seen.append("done"))

    def fail(tx: Tx) -> None:
        tx.after_commit(lambda: seen.append("never"))
        raise KeyError

    database.write(work)
    with pytest.raises(KeyError):
        database.write(fail)
    assert seen == ["done"]


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_ever(database: Database) -> None:
    with pytest.raises(RuntimeError, match="pass the tx on"):
        database.write(lambda _tx: database.write(lambda tx: _insert(tx, 1)))


@pytest.mark.conformance("What must be real underneath", "a read snapshot does not see what is committed meanwhile, on both databases")
def test_a_snapshot_does_not_see_what_is_committed_meanwhile(database: Database) -> None:
    with database.read(snapshot=True) as session:
        assert session.one("SELECT count(*) FROM test_note") == (0,)
        database.write(lambda tx: _insert(tx, 1))
        assert session.one("SELECT count(*) FROM test_note") == (0,)
    with database.read() as session:
        assert session.one("SELECT count(*) FROM test_note") == (1,)


def test_a_block_inside_a_block_and_a_statement_alone_see_the_snapshot_that_is_open(database: Database) -> None:
    with database.read(snapshot=True) as session:
        assert session.one("SELECT count(*) FROM test_note") == (0,)
        writing = threading.Thread(target=lambda: database.write(lambda tx: _insert(tx, 1)))
        writing.start()
        writing.join()
        with database.read(snapshot=True) as inner:
            assert inner.one("SELECT count(*) FROM test_note") == (0,)
        assert database.one("SELECT count(*) FROM test_note") == (0,), "the end of the inner block has not ended the outer one"
    assert database.one("SELECT count(*) FROM test_note") == (1,)


def test_threads_that_read_one_after_another_share_a_connection_and_those_at_once_do_not(database: Database) -> None:
    used: list[Session] = []

    def read(meanwhile: Callable[[], object] = lambda: None) -> None:
        with database.read() as session:
            used.append(session)
            meanwhile()

    def in_a_thread() -> None:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    in_a_thread()
    in_a_thread()
    read(in_a_thread)
    assert used[0] is used[1] is used[2] is not used[3]


def test_a_read_that_is_open_when_the_database_closes_ends_well_and_none_begins(database: Database) -> None:
    with database.read() as session:
        database.close()
        assert session.one("SELECT count(*) FROM test_note") == (0,)
    with pytest.raises(Unavailable), database.read():
        pass


def test_rows_are_streamed_in_their_order(database: Database) -> None:
    database.write(lambda tx: tx.many("INSERT INTO test_note (id) VALUES (?)", [(n,) for n in range(1200)]))
    with database.read() as session:
        assert [row[0] for row in session.each("SELECT id FROM test_note ORDER BY id")] == list(range(1200))


def test_rows_that_are_there_already_are_passed_over_and_not_counted(database: Database) -> None:
    statement = "INSERT INTO test_note (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
    assert database.write(lambda tx: tx.many(statement, [(n, b"first") for n in range(0, 100, 2)])) == 50
    assert database.write(lambda tx: tx.many(statement, [(n, b"later") for n in range(100)])) == 50
    with database.read() as session:
        assert session.all("SELECT body, count(*) FROM test_note GROUP BY body ORDER BY body") == [(b"first", 50), (b"later", 50)]


def test_work_of_a_group_in_which_one_fails_is_done_once_each(database: Database) -> None:
    """Work that is queued while another commits shares a transaction on SQLite; it begins anew when a part of it fails."""
    outcomes: list[object] = []
    entered, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        entered.set()
        go_on.wait(10)
        _insert(tx, 0)

    def write(number: int) -> None:
        def work(tx: Tx) -> None:
            tx.after_commit(lambda: outcomes.append(number))
            _insert(tx, number)
            if number == 3:
                raise KeyError

        try:
            database.write(work)
        except KeyError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=database.write, args=(hold,)), *(threading.Thread(target=write, args=(n,)) for n in range(1, 7))]
    threads[0].start()
    entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.all("SELECT id FROM test_note ORDER BY id") == [(n,) for n in (0, 1, 2, 4, 5, 6)]
    assert sorted(each for each in outcomes if isinstance(each, int)) == [1, 2, 4, 5, 6]
    assert len(outcomes) == 6
