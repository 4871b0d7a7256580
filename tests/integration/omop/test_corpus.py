"""Real inputs: the official examples are all mapped or left out with a reason; a Synthea chart is followed and rebuilt the same."""

import bz2
import json
import tarfile

import pytest

from omop_bridge.chart import parse
from omop_bridge.concepts import shipped
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.resource import FOLLOWED, resource_to_rows
from omop_bridge.mapping.rows import Context, Profile
from omop_bridge.schema import TABLES
from omop_bridge.shape import id_column
from tests.integration.omop.world import OPERATOR

pytestmark = pytest.mark.corpus


def examples(corpus):
    with tarfile.open(corpus / "fhir" / "r4-examples-4.0.1.tar.xz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json"):
                resource = parse(archive.extractfile(member).read())
                if resource.get("resourceType") in FOLLOWED:
                    yield member.name, resource


def test_every_official_example_is_mapped_or_left_out_with_a_reason(corpus):
    context, seen = Context(Coder(shipped()), Profile(text=True)), 0
    for name, resource in examples(corpus):
        found = resource_to_rows(resource, context)
        seen += 1
        assert found.rows or found.excluded or resource["resourceType"] == "Medication", name
        keys = [row.key for row in found.rows]
        assert len({(row.table, row.key) for row in found.rows}) == len(keys), name
        for row in found.rows:
            assert set(row.values) <= set(TABLES[row.table].by_name), name
            required = {field.name for field in TABLES[row.table].fields if field.required} - {id_column(row.table), "person_id"}
            assert [column for column in required if row.values.get(column) is None] == [], name
            assert [value for column, value in row.values.items() if column.endswith("_type_concept_id") and not value] == [], name
    assert seen > 100


@pytest.mark.long
def test_a_synthea_chart_is_followed_and_rebuilt_the_same(corpus, world):
    files = sorted((corpus / "fhir" / "synthea-r4").glob("*.bz2"))
    for file in [*files[:2], min(files[2:], key=lambda each: each.stat().st_size)]:
        bundle = json.loads(bz2.decompress(file.read_bytes()))
        (world.repository.transaction if bundle["type"] == "transaction" else world.repository.batch)(OPERATOR, bundle)
    world.follow()
    followed = world.contents()
    world.rebuild()
    assert world.contents() == followed
    assert followed["measurement"].rows > 0
    assert world.rows("measurement", "count(*)", "visit_occurrence_id IS NULL") == [(0,)]
    assert world.rows("visit_occurrence", "count(*)", "care_site_id IS NULL") == [(0,)]
