"""Pytest plugin and command: docs/conformance.md is written from the tests that ran."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.conformance.r4_matrix import Row, tables
from tests.conformance.requirement_rows import LISTS, requirements

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "conformance"
HEADER = """# Conformance

Written by the tests that ran (`make test test-long`, then `python -m tests.conformance_report docs/conformance.md`); `make check` fails when it differs.
First the R4 specification, row by row, with the tests that show a row or the reason why it is not supported; then a hundred attacks and what CDS Hooks
demands for security, in the same way; then the requirements that tests name; then every sentence that the tests hold, by part. “(corpus)” needs the real inputs beside the project, “(Apache Kafka)” its jars and Java:
both are skipped without.
"""
Rows = dict[str, dict[str, dict[str, str]]]


ROWS: pytest.StashKey[list[list[str]]] = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" or (report.when == "setup" and report.skipped):
        item.config.stash.setdefault(ROWS, []).extend(_rows(item, failed=report.failed))


def _rows(item: pytest.Item, *, failed: bool) -> list[list[str]]:
    verdict = "failed" if failed else _needs(item) or "held"
    test = re.sub(r"\[.*\]$", "", item.nodeid)
    marked = [[area, statement, test, verdict] for area, statement in (mark.args for mark in item.iter_markers("conformance"))]
    return [*marked, ["", "", test, verdict]]


def _needs(item: pytest.Item) -> str:
    """What a test needs beyond the project, without which it is skipped."""
    fixtures = getattr(item, "fixturenames", ())
    if "apache_kafka" in fixtures:
        return "Apache Kafka"
    return "corpus" if item.get_closest_marker("corpus") or "corpus" in fixtures else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = session.config.stash.get(ROWS, [])
    if session.config.option.collectonly:  # what the page will say if every test holds
        rows = [row for item in session.items for row in _rows(item, failed=False)]
    if rows:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{os.getpid()}.json").write_text(json.dumps(sorted({tuple(row) for row in rows})))


def read_results() -> Rows:
    """Area -> statement -> test -> verdict, over every run since the last `rm -r build`; a failure wins over anything else."""
    found: Rows = defaultdict(lambda: defaultdict(dict))

    def rank(verdict: str) -> int:
        return {"held": 0, "failed": 2}.get(verdict, 1)

    for path in sorted(RESULTS.glob("*.json")):
        for area, statement, test, verdict in json.loads(path.read_text()):
            if rank(verdict) >= rank(found[area][statement].get(test, "held")):
                found[area][statement][test] = verdict
    return found


def render() -> str:
    results = read_results()
    sentences = results.pop("", {}).get("", {})
    lines = [HEADER, *matrix(sentences), *lists(sentences)]
    for area, statements in sorted(results.items()):
        lines += [f"\n## {area}\n", "| requirement | shown by |", "| --- | --- |"]
        for statement, tests in sorted(statements.items()):
            names = ", ".join(f"`{test.removeprefix('tests/')}`{_verdict(verdict)}" for test, verdict in sorted(tests.items()))
            lines.append(f"| {statement} | {names} |")
    return "\n".join([*lines, *_sentences(sentences)]) + "\n"


def matrix(verdicts: Mapping[str, str]) -> list[str]:
    """Write the rows of the R4 specification; a row whose test failed says so."""
    lines = ["\n## The R4 specification, row by row"]
    for table in tables():
        lines += [f"\n### {table.title}\n", f"Spec: {table.spec}\n", "| R4 says | here |", "| --- | --- |"]
        lines += [f"| {_cell(row.words)} | {_cell(_shown(row, verdicts))} |" for row in table.rows]
    return lines


def _shown(row: Row, verdicts: Mapping[str, str]) -> str:
    return "; ".join(part for part in (f"not supported: {row.reason}" if row.reason else "", _names(row.tests, verdicts), row.note) if part)


def lists(verdicts: Mapping[str, str]) -> list[str]:
    """Write the lists of requirements that are kept as data; a row whose test failed says so."""
    lines: list[str] = []
    for name, title in LISTS.items():
        lines += [f"\n## {title}\n", "| row | what must hold | here |", "| --- | --- | --- |"]
        for row in requirements(name):
            reason = f"cannot apply: {row['reason']}" if "reason" in row else ""
            said = "; ".join(part for part in (reason, _names(row.get("tests", ()), verdicts), row.get("note", "")) if part)
            lines.append(f"| {row['id']} | {_cell(row['statement'])} | {_cell(said)} |")
    return lines


def _names(tests: Iterable[str], verdicts: Mapping[str, str]) -> str:
    return ", ".join(f"`{test.removeprefix('tests/')}`{_verdict(verdicts.get(test, 'held'))}" for test in tests)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentences(tests: dict[str, str]) -> list[str]:
    """Test names are sentences: list them by file."""
    by_file: dict[str, list[str]] = defaultdict(list)
    for test, verdict in sorted(tests.items()):
        file, *names = test.split("::")
        by_file[file].append(names[-1].removeprefix("test_").replace("_", " ") + _verdict(verdict))
    lines = ["\n## Every sentence"]
    for file, names in sorted(by_file.items()):
        lines += [f"\n### {file.removeprefix('tests/')}\n", *(f"- {name}" for name in sorted(names))]
    return lines


def _verdict(verdict: str) -> str:
    return {"failed": " **failed**", "held": ""}.get(verdict, f" ({verdict})")


def main(arguments: list[str]) -> int:
    target = Path(arguments[-1])
    text = render()
    if arguments[0] != "--check":
        target.write_text(text)
        return 0
    if target.read_text() == text:
        return 0
    sys.stderr.write(f"{target} differs from what the tests showed: run `python -m tests.conformance_report {target}` after `make test test-long`\n")
    sys.stderr.writelines(list(difflib.unified_diff(target.read_text().splitlines(keepends=True), text.splitlines(keepends=True), "committed", "shown", n=0))[:60])
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
