"""Real resources: HL7's examples, Synthea's bundles, and the package the facts were made from."""

from __future__ import annotations

import bz2
from importlib import resources

import pytest
import zstandard

from chartloop.kernel.errors import ChartloopError
from fhir_server.compartments import patient_of
from fhir_server.indexing.extraction import extract
from fhir_server.spec.generate import compress, make_facts
from fhir_server.spec.package import read_package
from fhir_server.validation.bundles import validate_bundle
from fhir_server.validation.errors import resource_errors
from fhir_server.validation.fast import passes
from fhir_server.validation.resources import validate
from tests.integration.fhir_spec.official_examples import REFUSED, official_examples

pytestmark = pytest.mark.corpus


@pytest.mark.conformance("FHIR R4: validation", "the official examples of R4 are accepted but for six that break R4's own rules")
def test_the_official_examples_are_accepted_but_for_those_that_break_r4s_own_rules(corpus):
    refused = {}
    count = 0
    for name, body in official_examples(corpus):
        count += 1
        try:
            validate(body)
        except ChartloopError as error:
            refused[name] = {issue.expression for issue in error.issues}
    assert count >= 400
    assert refused.keys() == REFUSED.keys()
    assert all(REFUSED[name][1] in expressions for name, expressions in refused.items())


def test_the_thorough_pass_agrees_wherever_the_fast_pass_accepts(corpus):
    disagreed = []
    fast = 0
    for name, body in official_examples(corpus):
        if name not in REFUSED:
            validated = validate(body)
            if passes(validated.type, body):
                fast += 1
                disagreed += [name] if list(resource_errors(validated.resource)) else []
    assert disagreed == []
    assert fast >= 400


def test_synthea_bundles_are_valid_and_take_the_fast_pass(corpus):
    paths = sorted((corpus / "fhir" / "synthea-r4").glob("*.json.bz2"), key=lambda path: path.stat().st_size)
    assert paths
    for path in paths[:12]:
        bundle, validated = validate_bundle(bz2.decompress(path.read_bytes()))
        slow = [found.type for entry, found in zip(bundle.entries, validated, strict=True) if found and not passes(found.type, entry.resource)]
        assert slow == []


@pytest.mark.conformance("FHIR R4: validation", "every Synthea resource is valid and can be searched for")
@pytest.mark.long
def test_every_synthea_resource_is_valid_and_yields_rows(corpus):
    for path in sorted((corpus / "fhir" / "synthea-r4").glob("*.json.bz2")):
        _, validated = validate_bundle(bz2.decompress(path.read_bytes()))
        for found in validated:
            assert found is not None
            assert any(extract(found.type, found.resource))
            if found.type == "Patient":
                assert patient_of(found.type, found.resource) == f"Patient/{found.id}"


@pytest.mark.long
@pytest.mark.conformance("What must be real underneath", "FHIR: the committed file of facts is what the generator makes from hl7.fhir.r4.core, below 120 kB")
def test_the_facts_file_is_what_the_generator_makes_from_the_package(corpus):
    facts = make_facts(read_package(corpus / "fhir" / "r4-core-4.0.1.tar.xz"))
    committed = resources.files("fhir_server.spec").joinpath("r4.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompress(committed) == facts
    assert make_facts(read_package(corpus / "fhir" / "r4-core-4.0.1.tar.xz")) == facts
    assert len(committed) < 120_000
    assert zstandard.ZstdDecompressor().decompress(compress(facts)) == facts
