"""Every file of the X12 corpus of our kinds, with the verdict its index states."""

import csv

import pytest

from claims.x12.acknowledgment import loop_to_claim_acknowledgments, loop_to_functional_acknowledgment
from claims.x12.issue import ERROR, errors
from claims.x12.professional_reader import loop_to_batch
from claims.x12.reader import read, write
from claims.x12.remittance import loop_to_remittance
from claims.x12.validation import validate

pytestmark = pytest.mark.corpus
KINDS = ("X222", "X231", "X214", "X221")
READERS = {"837P": loop_to_batch, "999": loop_to_functional_acknowledgment, "277CA": loop_to_claim_acknowledgments, "835": loop_to_remittance}

# Readable, and an error all the same: its IEA02 is not its ISA13.
READABLE_WITH_ERROR = {"imsweb/837_5010/x12_999_accepted.txt"}

# Not found as errors, and why.
NOT_ERRORS = {
    "L4_billing_N403_only_5_digit_zip": "a warning: valid published examples have five digits there",
    "L4_PO_box_in_2010AA_N3": "a warning: a valid published example has one",
    "L5_bad_ICD_10_code_ABK_ZZZ99": "well formed; the code set is not part of the X12 engine",
    "L6": "line of business rules are not built",
}


def rows(corpus):
    with (corpus / "x12" / "INDEX.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            path = corpus / "x12" / row["path"]
            if path.is_file() and (any(kind in row["GS08"] for kind in KINDS) or "X231A1" in row["path"]):
                yield row["path"], row["expected"], path.read_bytes()


@pytest.mark.conformance("X12", "every file of the corpus is written back byte for byte")
def test_every_file_is_written_back_byte_for_byte(corpus):
    count = 0
    for path in (corpus / "x12").rglob("*"):
        if path.is_file() and path.suffix in (".edi", ".txt", ".837", ".835", ".277", ".270", ".271", ".276", ".834", ".837i"):
            data = path.read_bytes()
            assert write(read(data)) == data, path
            count += 1
    assert count > 50


@pytest.mark.conformance("The loop", "5 Claim: the 837P, 999, 277CA and 835 files of the corpus pass the same readers")
@pytest.mark.conformance("X12", "valid files of the corpus have no error, invalid ones have")
def test_valid_files_have_no_error_and_invalid_ones_have(corpus):
    wrong, count = [], 0
    for name, expected, data in rows(corpus):
        report = validate(data)
        count += 1
        if name in READABLE_WITH_ERROR:
            assert [i.code for i in errors(report.issues)] == ["control"]
        elif expected.startswith("valid") and not report.valid:
            wrong.append((name, [str(i) for i in errors(report.issues)][:3]))
        elif (expected == "invalid" or expected.startswith("structurally")) and report.valid:
            wrong.append((name, "no error"))
        for read_set in report.sets:
            READERS[read_set.kind](read_set.root)
    assert wrong == []
    assert count >= 40


def test_acknowledgments_say_what_their_names_say(corpus):
    folder = corpus / "x12" / "imsweb"
    for path in sorted(folder.rglob("*999*.txt")) + sorted(folder.rglob("*277CA*.txt")):
        read_set = validate(path.read_bytes()).sets[0]
        accepted = "accepted" in path.name
        if read_set.kind == "999":
            assert loop_to_functional_acknowledgment(read_set.root).accepted is accepted, path
        else:
            assert [c.rejected for c in loop_to_claim_acknowledgments(read_set.root).claims] == [not accepted], path


@pytest.mark.conformance("X12", "mutants of the corpus are errors of their SNIP level")
def test_each_mutant_is_an_error_of_its_level(corpus):
    missed, good, count = [], [], 0
    for path in sorted((corpus / "x12" / "generated_mutants").glob("*.edi")):
        found = errors(validate(path.read_bytes(), codes=ERROR).issues)
        count += 1
        if not path.name.startswith("L"):
            good += [str(i) for i in found]
        elif not any(i.snip == int(path.name[1]) for i in found) and not path.name.startswith(tuple(NOT_ERRORS)):
            missed.append((path.name, [str(i) for i in found]))
    assert missed == []
    assert good == []
    assert count > 20
