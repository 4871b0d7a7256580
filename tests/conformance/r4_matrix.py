"""The rows of the R4 specification: what each says, and the tests that show it or the reason why it is not supported.

The data is in r4.toml, r4_operations.toml, r4_modifiers.toml and r4_prefixes.toml beside this file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
R4: Final = "https://hl7.org/fhir/R4/"
_REASON: Final = "not supported: "
_NOTE: Final = "note: "
_REFUSED: Final = "refused: "
_USUAL: Final = "integration/fhir_server/"
ASKED: Final = {"r4_modifiers.toml": "Modifiers of search parameters, by kind", "r4_prefixes.toml": "Prefixes of search parameters, by kind"}
"""Tables that tests/conformance/test_r4_asked.py asks of a store, row by row."""


class Row(NamedTuple):
    """One row: its words, the tests that show it, why it is not supported, what is narrower here."""

    words: str
    tests: tuple[str, ...] = ()
    reason: str = ""
    note: str = ""


class Table(NamedTuple):
    """One table and the page of the specification that it follows."""

    title: str
    spec: str
    rows: tuple[Row, ...]


class Asked(NamedTuple):
    """A search that the store is asked, and the ids it finds or why it is refused."""

    kind: str
    word: str
    search: str
    ids: str
    reason: str


def tables() -> Iterator[Table]:
    """Give every table of rows that name their tests, and then those that are asked of a store."""
    for file in ("r4.toml", "r4_operations.toml"):
        for table in _read(file)["table"]:
            yield Table(table["title"], R4 + table["spec"], tuple(_row(*each) for each in table["rows"]))
    for file, title in ASKED.items():
        fragment = "prefix" if "prefix" in title.lower() else "modifiers"
        yield Table(title, f"{R4}search.html#{fragment}", tuple(map(_asked_row, asked(file))))


def asked(file: str) -> list[Asked]:
    """List the searches of one of ASKED."""
    return [
        Asked(kind, word, search, "" if said.startswith(_REFUSED) else said, said.removeprefix(_REFUSED) if said.startswith(_REFUSED) else "")
        for kind, rows in _read(file).items()
        for word, search, said in rows
    ]


def _asked_row(each: Asked) -> Row:
    test = "tests/conformance/test_r4_asked.py::test_a_search_of_the_table_finds_what_it_says"
    return Row(f"{each.kind} {each.word}", (test,), each.reason and f"{each.reason}; answers 400")


@cache
def _read(file: str) -> dict[str, Any]:
    return tomllib.loads((HERE / file).read_text(encoding="utf-8"))


def _row(words: str, *said: str) -> Row:
    tests = tuple(_path(each) for each in said if "::test_" in each)
    reasons = [each.removeprefix(_REASON) for each in said if each.startswith(_REASON)]
    notes = [each.removeprefix(_NOTE) for each in said if each.startswith(_NOTE)]
    return Row(words, tests, "; ".join(reasons), "; ".join(notes))


def _path(test: str) -> str:
    """Complete the path of a test: a file without a folder is in the usual place."""
    file = test.partition("::")[0]
    return f"tests/{'' if '/' in file else _USUAL}{test}"
