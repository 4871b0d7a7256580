"""Every SHALL and SHALL NOT of SMART App Launch 2.2.0 for servers has a row that names its tests, or says why it cannot apply."""

import csv
import io
import tarfile
from pathlib import Path

import pytest

from tests.conformance.requirement_rows import ROOT, misshapen, requirements, unshown

ROWS = requirements("smart-2.2.0")
LIST = "smart_app_launch_test_kit_requirements.csv"


def test_each_row_stands_once_and_is_tested_or_says_why_not() -> None:
    assert list(misshapen(ROWS)) == []


def test_every_named_test_exists_and_says_that_it_shows_the_requirement() -> None:
    assert list(unshown(ROWS, r"['\"](?:SMART-2\.2\.0@)?{id}: ")) == []


@pytest.mark.corpus
def test_every_requirement_of_the_list_has_a_row(corpus: Path) -> None:
    with tarfile.open(corpus / "cds" / "cds-hooks-smart-samples.tar.xz") as archive:
        member = next(each for each in archive.getmembers() if each.name.endswith(LIST))
        held = archive.extractfile(member)
        assert held is not None
        listed = list(csv.DictReader(io.TextIOWrapper(held, "utf-8-sig")))
    wanted = {
        int(each["ID"]) for each in listed
        if each["Req Set"].endswith("_2.2.0") and each["Conformance"] in ("SHALL", "SHALL NOT") and "erver" in each["Actors"]
    }  # fmt: skip
    assert len(wanted) == 172
    assert {row["id"] for row in ROWS} == wanted


@pytest.mark.conformance("SMART 2.2.0", "139: what a record link does to an authorization is documented")
def test_the_howto_says_what_a_record_link_does_to_an_authorization() -> None:
    assert "`Patient.link`" in (ROOT / "docs" / "howto" / "register-an-app.md").read_text("utf-8")
