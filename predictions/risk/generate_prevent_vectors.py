"""Convert the tests of preventr to cases as JSON: python -m predictions.risk.generate_prevent_vectors ARCHIVE --out FILE.

Expected values are the stroke risks that the package's snapshots print (percent, one digit); what varies is in the call or in the path
of the list that the snapshot prints, everything else is the person of the package's own base test (PERSON). ZIP codes become deciles of
deprivation by the table in its sysdata.rda. The 500 people of the .rda test data come without printed risks: they are inputs only.
Needs the PyPI package `rdata` (extra `test`).
"""

from __future__ import annotations

import importlib
import json
import math
import re
import tarfile
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

PERSON: Mapping[str, Any] = {
    "age": 50.0,
    "total_cholesterol": 200.0,
    "hdl_cholesterol": 45.0,
    "systolic": 160.0,
    "diabetes": True,
    "smoking": False,
    "egfr": 90.0,
    "antihypertensive": True,
    "statin": False,
    "hba1c": None,
    "uacr": None,
    "sdi": None,
}
NAMES: Mapping[str, str] = {
    "age": "age",
    "total_c": "total_cholesterol",
    "hdl_c": "hdl_cholesterol",
    "sbp": "systolic",
    "dm": "diabetes",
    "smoking": "smoking",
    "egfr": "egfr",
    "bp_tx": "antihypertensive",
    "statin": "statin",
    "hba1c": "hba1c",
    "uacr": "uacr",
}
FLAGS = frozenset({"diabetes", "smoking", "antihypertensive", "statin"})
SNAPSHOTS = "preventr/tests/testthat/_snaps/estimate_risk.md"
PEOPLE = "preventr/tests/testthat/_data/test_dat_with_valid_invalid.rda"
SYSTEM = "preventr/R/sysdata.rda"
_CALL = re.compile(r"^(check_equations|check_equations_partial|sdi_10yr_partial|sdi_30yr_partial)\((.*)\)$")
_NESTED = re.compile(r'^nested_lapply\("(\w+)"')
_PATH = re.compile(r"^\s*(\$.*?)?\$stroke$")


class Printed(NamedTuple):
    """One stroke table of a snapshot: its call, the path before `$stroke`, and the lines from there on."""

    section: str
    call: str
    path: str
    lines: list[str]


def make_vectors(archive: Path) -> dict[str, Any]:
    """Return {"cases": […], "people": […]} of an archive of the package's tests."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        system = read_rda(Path(folder) / SYSTEM)
        sdi = dict(zip(system["sdi_decile_dat"]["zip"], system["sdi_decile_dat"]["sdi_decile"], strict=True))
        lines = (Path(folder) / SNAPSHOTS).read_text(encoding="utf-8").splitlines()
        cases = [case for printed in _tables(lines) for case in _cases(printed, sdi)]
        frame = read_rda(Path(folder) / PEOPLE)["test_dat_with_valid_invalid"]
    return {"cases": cases, "people": [person for row in frame.to_dict("records") for person in _person(row)]}


def read_rda(path: Path) -> Any:
    """Read an R data file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rdata names every R class that it keeps as it is
        return importlib.import_module("rdata").read_rda(path)


def _tables(lines: list[str]) -> Iterator[Printed]:
    section, call, position = "", "", 0
    while position < len(lines):
        line = lines[position]
        if line.startswith("# "):
            section = line[2:]
        elif line.strip() == "Code":
            code = []
            while lines[position + 1].startswith("      "):
                position += 1
                code.append(lines[position].strip())
            call = " ".join(code)
        elif found := _PATH.match(line):
            yield Printed(section, call, found[1] or "", lines[position : position + 14])
        position += 1


def _cases(printed: Printed, sdi: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Yield a case for each risk that is printed and whose inputs are known."""
    inputs = _inputs(printed, sdi)
    if inputs is None:
        return
    columns, risks = printed.lines[2].split(), printed.lines[4].split()[1:]
    models, years = printed.lines[8].split(), printed.lines[12].split()
    for column, risk, model, over in zip(columns, risks, models, years, strict=True):
        if risk != "NA":
            sex = column.partition("_")[0]
            yield {"section": printed.section, "model": f"{model.strip(chr(34))}-{over}", "person": {"sex": sex, **inputs}, "printed": risk}


def _inputs(printed: Printed, sdi: Mapping[str, float]) -> dict[str, Any] | None:
    """Return what the call says over the base person; None where the snapshot does not show the inputs."""
    if nested := _NESTED.match(printed.call):
        name, text = NAMES.get(nested[1], ""), printed.path.split("$")[1].strip("`")
        return {**PERSON, name: _value(name, text)} if name in FLAGS else dict(PERSON)
    found = _CALL.match(printed.call)
    if not found:
        return None
    person = dict(PERSON)
    for argument in found[2].split(","):
        key, _, text = (part.strip() for part in argument.partition("="))
        if key in NAMES:
            person[NAMES[key]] = _value(NAMES[key], text)
        elif key == "zip" and text != "NA":
            person["sdi"] = int(sdi[text.strip('"')])
    return person


def _value(name: str, text: str) -> float | bool:
    return text in {"TRUE", "1"} if name in FLAGS else float(text)


def _person(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the person of one row, once for each sex, if every number is there."""
    numbers = {ours: row[theirs] for theirs, ours in NAMES.items() if theirs not in {"hba1c", "uacr"}}
    if any(isinstance(value, float) and math.isnan(value) for value in numbers.values()):
        return
    for sex in ("female", "male"):
        yield {"sex": sex, **{name: bool(value) if name in FLAGS else float(value) for name, value in numbers.items()}}


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file to write.")
def main(archive: Path, out: Path) -> None:
    """Write the cases of an ARCHIVE of preventr's tests."""
    vectors = make_vectors(archive)
    out.write_text(json.dumps(vectors, indent=1), encoding="utf-8")
    click.echo(f"{out}: {len(vectors['cases'])} printed risks, {len(vectors['people'])} people without one")


if __name__ == "__main__":
    main()
