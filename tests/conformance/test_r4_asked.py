"""Modifiers and prefixes by kind of parameter: every row of the two tables is asked of a store, over HTTP, on both databases."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.conformance.r4_matrix import ASKED, Asked, asked
from tests.integration.fhir_server.test_http import Api

ROWS = [each for file in ASKED for each in asked(file)]


@pytest.mark.conformance("FHIR R4: search", "every modifier of every kind of parameter, and every prefix, finds what the tables of this page say or is refused by name")
@pytest.mark.parametrize("row", ROWS, ids=[f"{each.kind} {each.word}" for each in ROWS])
def test_a_search_of_the_table_finds_what_it_says(served: Api, row: Asked) -> None:
    path, _, query = row.search.partition("?")
    name, _, value = query.partition("=")
    answer = served("GET", f"/fhir/{path}?{name}={quote(value)}&_total=accurate")
    said = json.loads(answer.data)
    if row.reason:
        assert (answer.status_code, said["resourceType"]) == (400, "OperationOutcome")
        modifier = name.partition(":")[2]
        assert name.partition(":")[0] in said["issue"][0]["diagnostics"]
        assert f":{modifier}" in said["issue"][0]["diagnostics"] or modifier in ("", "missing") or said["issue"][0]["code"] == "value"
        return
    assert answer.status_code == 200, said
    assert sorted(entry["resource"]["id"] for entry in said.get("entry", ())) == row.ids.split()
    assert said["total"] == len(row.ids.split())
