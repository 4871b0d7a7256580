"""Every SHALL of CDS Hooks 2.0 for a service is shown by a test, or does not apply for a reason."""

from __future__ import annotations

import ast
import csv
import io
import re
import tarfile
from pathlib import Path

import pytest

from tests.conformance.requirement_rows import misshapen, requirements, unshown

TESTS = Path(__file__).resolve().parents[1]
SUGGESTIONS = "cards of this service carry no suggestions, and so no actions"
SECURITY = {2, 5, 54, 61, 107, 168, 176, 199, 201, 203, 208, 213}
"""What of it concerns security: transport, discovery, rights, addresses, the callers' JWTs, other origins."""
DOES_NOT_APPLY = {
    **dict.fromkeys((92, 93, 95, 96, *range(117, 136)), SUGGESTIONS),
    75: "there are no system actions",
    89: "said of the client: the indicator may guide its display",
    111: "the source has no icon",
    211: "there is one service; no card of it replaces that of another hook",
    213: "nothing here is required for a patient's safety",
}


def shown() -> set[int]:
    """Requirement numbers in the conformance markers of all tests."""
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "conformance":
                said = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                if said[0] == "CDS Hooks 2.0":
                    statement = said[1]
                    for first, last in re.findall(r"@(\d+)(?:-(\d+))?", statement):
                        found |= set(range(int(first), int(last or first) + 1))
    return found


def required(corpus: Path) -> set[int]:
    archive = corpus / "cds" / "cds-hooks-smart-samples.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no sample files: {archive.name} is absent")
    with tarfile.open(archive) as samples:
        member = next(each for each in samples if each.name.endswith("davinci_crd_test_kit_requirements.csv"))
        content = samples.extractfile(member)
        assert content is not None
        rows = list(csv.DictReader(io.StringIO(content.read().decode("utf-8-sig"))))
    return {int(row["ID"]) for row in rows if row["Req Set"] == "cds-hooks_2.0" and "Service" in row["Actors"] and row["Conformance"] in ("SHALL", "SHALL NOT")}


@pytest.mark.corpus
@pytest.mark.conformance("CDS Hooks 2.0", "every SHALL and SHALL NOT for a service is shown by a test or does not apply, with the reason")
def test_every_shall_of_a_service_is_shown_or_does_not_apply(corpus):
    wanted, tested = required(corpus), shown()
    assert len(wanted) == 73
    assert sorted(wanted - tested - set(DOES_NOT_APPLY)) == []
    assert sorted(tested & set(DOES_NOT_APPLY) & wanted) == [], "said to be tested and not to apply"


@pytest.mark.conformance("CDS Hooks 2.0", "each SHALL for a service that concerns security is listed with its tests")
def test_each_demand_for_security_is_listed_with_its_tests():
    rows = requirements("cds-hooks-2.0-security")
    assert list(misshapen(rows, "statement")) == []
    assert list(unshown(rows, r"CDS Hooks 2\.0', .*?@{id}\b")) == []
    assert {row["id"] for row in rows} == SECURITY
