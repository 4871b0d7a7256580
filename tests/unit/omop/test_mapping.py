"""One resource to its rows: what counts, what does not and why, and where it goes."""

from decimal import Decimal

import pytest

from omop_bridge.concepts import Concept, Concepts, shipped
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.references import Links, links, local
from omop_bridge.mapping.resource import FOLLOWED, resource_to_rows
from omop_bridge.mapping.rows import Context, Profile

LOINC, SNOMED, UCUM, RXNORM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org", "http://www.nlm.nih.gov/research/umls/rxnorm"
HL7 = "http://terminology.hl7.org/CodeSystem"
CODER = Coder(shipped())


def concept(system, *codes):
    return {"coding": [{"system": system, "code": code} for code in codes]}


def rows(resource, **context):
    return resource_to_rows(resource, Context(CODER, **context))


def reasons(resource, **context):
    found = rows(resource, **context)
    assert found.rows == ()
    return [each.reason for each in found.excluded]


OBSERVATION = {
    "resourceType": "Observation", "status": "final", "code": concept(LOINC, "29463-7"), "effectiveDateTime": "2026-11-20T09:00:00+01:00",
    "valueQuantity": {"value": Decimal("72.50"), "unit": "kg", "system": UCUM, "code": "kg"},
}  # fmt: skip
CONDITION = {"resourceType": "Condition", "code": concept(SNOMED, "38341003"), "recordedDate": "2026-11-20"}
REQUEST = {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "medicationCodeableConcept": concept(RXNORM, "7407"), "authoredOn": "2026-11-20"}
PROCEDURE = {"resourceType": "Procedure", "status": "completed", "code": concept(SNOMED, "1"), "performedDateTime": "2026-11-20"}
ENCOUNTER = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "period": {"start": "2026-11-20"}}
IMMUNIZATION = {"resourceType": "Immunization", "status": "completed", "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", "140"), "occurrenceDateTime": "2026-11-20"}
DOCUMENT = {"resourceType": "DocumentReference", "status": "current", "type": concept(LOINC, "34117-2"), "date": "2026-11-20T09:00:00Z"}
ALLERGY = {"resourceType": "AllergyIntolerance", "code": concept(SNOMED, "91936005"), "recordedDate": "2026-11-20"}
ADMINISTRATION = {"resourceType": "MedicationAdministration", "status": "completed", "medicationCodeableConcept": concept(RXNORM, "7407"), "effectiveDateTime": "2026-11-20"}
DISPENSE = {"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": concept(RXNORM, "7407"), "whenHandedOver": "2026-11-20"}
STATEMENT = {"resourceType": "MedicationStatement", "status": "active", "medicationCodeableConcept": concept(RXNORM, "7407"), "effectiveDateTime": "2026-11-20"}
PATIENT = {"resourceType": "Patient", "birthDate": "1961-02-03"}
EVERYTHING = [OBSERVATION, CONDITION, REQUEST, PROCEDURE, ENCOUNTER, IMMUNIZATION, DOCUMENT, ALLERGY, ADMINISTRATION, DISPENSE, STATEMENT, PATIENT]


@pytest.mark.parametrize("resource", EVERYTHING, ids=lambda resource: resource["resourceType"])
def test_a_plain_resource_gives_one_row(resource):
    found = rows(resource)
    assert (len(found.rows), found.excluded) == (1, ())


@pytest.mark.conformance("OMOP", "a modifierExtension stops a row")
@pytest.mark.parametrize("resource", EVERYTHING, ids=lambda resource: resource["resourceType"])
def test_a_modifier_extension_stops_every_row(resource):
    assert reasons({**resource, "modifierExtension": [{"url": "urn:not"}]}) == ["modifier-extension"]
    assert reasons({**resource, "implicitRules": "urn:rules"}) == ["implicit-rules"]


@pytest.mark.conformance("OMOP", "status and intent filter, with counts by reason")
@pytest.mark.parametrize(
    ("resource", "change", "reason"),
    [
        *((OBSERVATION, {"status": status}, f"status-{status}") for status in ("registered", "preliminary", "cancelled", "entered-in-error", "unknown")),
        *((PROCEDURE, {"status": status}, f"status-{status}") for status in ("preparation", "in-progress", "not-done", "on-hold", "stopped", "entered-in-error", "unknown")),
        *((REQUEST, {"status": status}, f"status-{status}") for status in ("draft", "on-hold", "cancelled", "stopped", "entered-in-error", "unknown")),
        *((REQUEST, {"intent": intent}, f"intent-{intent}") for intent in ("proposal", "plan", "option")),
        (REQUEST, {"doNotPerform": True}, "do-not-perform"),
        *((STATEMENT, {"status": status}, f"status-{status}") for status in ("intended", "not-taken", "entered-in-error", "stopped", "on-hold", "unknown")),
        *((ADMINISTRATION, {"status": status}, f"status-{status}") for status in ("in-progress", "not-done", "entered-in-error", "stopped")),
        *((DISPENSE, {"status": status}, f"status-{status}") for status in ("preparation", "cancelled", "declined")),
        *((IMMUNIZATION, {"status": status}, f"status-{status}") for status in ("not-done", "entered-in-error")),
        *((ENCOUNTER, {"status": status}, f"status-{status}") for status in ("planned", "cancelled", "entered-in-error", "unknown")),
        *((DOCUMENT, {"status": status}, f"status-{status}") for status in ("superseded", "entered-in-error")),
        (DOCUMENT, {"docStatus": "preliminary"}, "status-preliminary"),
        *(
            (CONDITION, {"verificationStatus": concept(f"{HL7}/condition-ver-status", status)}, f"verification-{status}")
            for status in ("refuted", "entered-in-error", "provisional", "differential", "unconfirmed")
        ),
        (ALLERGY, {"verificationStatus": concept(f"{HL7}/allergyintolerance-verification", "refuted")}, "verification-refuted"),
        (OBSERVATION, {"status": None}, "no-status"),
        (OBSERVATION, {"effectiveDateTime": None}, "no-date"),
        (OBSERVATION, {"effectiveDateTime": "2026-11"}, "date-incomplete"),
        (CONDITION, {"recordedDate": None}, "no-date"),
        (CONDITION, {"code": {"text": "feels unwell"}}, "no-code"),
        (PATIENT, {"birthDate": None}, "no-birth-date"),
        (PATIENT, {"link": [{"type": "replaced-by", "other": {"reference": "Patient/2"}}]}, "merged"),
        (OBSERVATION, {"valueQuantity": None, "valueString": "see my letter"}, "value-in-words"),
        (OBSERVATION, {"valueQuantity": {"unit": "kg"}}, "value-absent"),
        (OBSERVATION, {"extension": [{"url": "https://chartloop.example/fhir/StructureDefinition/implausible", "valueBoolean": True}]}, "implausible"),
    ],
)
def test_what_did_not_happen_or_cannot_be_dated_is_left_out_with_its_reason(resource, change, reason):
    assert reasons({name: value for name, value in {**resource, **change}.items() if value is not None}) == [reason]


def test_an_absent_value_is_no_row():
    absent = {name: value for name, value in OBSERVATION.items() if name != "valueQuantity"}
    assert reasons({**absent, "dataAbsentReason": concept(f"{HL7}/data-absent-reason", "unknown")}) == ["value-absent"]


def test_an_order_counts_as_prescribed_or_under_the_strict_profile_not_at_all():
    assert rows(REQUEST).rows[0].values["drug_type_concept_id"] == 32838
    strict = Profile(orders=False)
    assert reasons(REQUEST, profile=strict) == ["intent-order"]
    assert len(rows({**REQUEST, "intent": "instance-order"}, profile=strict).rows) == 1


# ---- codes -----------------------------------------------------------------------------------------------------------------

TARGETS = [
    Concept(1, "a condition", "Condition", "SNOMED", "", "S", "c"),
    Concept(2, "a measurement", "Measurement", "SNOMED", "", "S", "m"),
    Concept(3, "a place", "Geography", "SNOMED", "", "S", "g"),
    Concept(4, "a device", "Device", "SNOMED", "", "S", "d"),
    Concept(5, "a drug", "Drug", "RxNorm", "", "S", "r"),
    Concept(6, "a procedure", "Procedure", "SNOMED", "", "S", "p"),
    Concept(7, "a finding", "Observation", "SNOMED", "", "S", "o"),
    Concept(8, "both", "Condition", "ICD10CM", "", "", "b"),
    Concept(9, "nowhere", "Procedure", "ICD10CM", "", "", "n"),
]
OWN = Coder(Concepts("test", TARGETS, {8: [1, 2]}))


def routed(resource):
    return [(row.table, row.key, row.values) for row in resource_to_rows(resource, Context(OWN)).rows]


@pytest.mark.conformance("OMOP", "the domain of the concept decides the table")
@pytest.mark.parametrize(
    ("code", "table"),
    [("c", "condition_occurrence"), ("m", "measurement"), ("g", "observation"), ("d", "device_exposure"), ("p", "procedure_occurrence"), ("o", "observation")],
)
@pytest.mark.parametrize("resource", [OBSERVATION, CONDITION, PROCEDURE], ids=lambda resource: resource["resourceType"])
def test_the_domain_decides_the_table_whatever_the_resource(resource, code, table):
    ((found, _, values),) = routed({**resource, "code": concept(SNOMED, code)})
    assert found == table
    assert [value for name, value in values.items() if name.endswith("_type_concept_id")] == [32817]


@pytest.mark.conformance("OMOP", "one code with n Maps to is n rows; only standard concepts, else 0 with the source value verbatim")
def test_one_code_that_maps_to_two_concepts_is_two_rows():
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    first, second = routed({**CONDITION, "code": concept(icd, "b")})
    assert (first[0], first[1], first[2]["condition_concept_id"], first[2]["condition_source_concept_id"]) == ("condition_occurrence", "code#0", 1, 8)
    assert (second[0], second[1], second[2]["measurement_concept_id"], second[2]["measurement_source_value"]) == ("measurement", "code#1", 2, "b")
    ((table, _, values),) = routed({**CONDITION, "code": concept(icd, "n")})
    assert (table, values["procedure_concept_id"], values["procedure_source_concept_id"], values["procedure_source_value"]) == ("procedure_occurrence", 0, 9, "n")
    ((table, _, values),) = routed({**CONDITION, "code": concept("urn:local", "X-1")})
    assert (table, values["condition_concept_id"], values["condition_source_value"]) == ("condition_occurrence", 0, "X-1")


def test_of_several_codings_the_one_with_a_standard_concept_counts_then_the_vocabulary_then_the_choice_of_a_user():
    def chosen(*codings):
        return OWN.coded({"coding": [dict(zip(("system", "code", "userSelected"), each, strict=False)) for each in codings]}).source_value

    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    assert chosen((icd, "b"), (SNOMED, "c")) == "c"
    assert chosen((icd, "n"), ("urn:local", "X")) == "n"
    assert chosen((SNOMED, "unknown"), (icd, "b")) == "b"
    assert chosen((SNOMED, "c"), (SNOMED, "o", True)) == "o"
    assert chosen((SNOMED, "o"), (SNOMED, "c")) == "o"


# ---- results ---------------------------------------------------------------------------------------------------------------


def result(**value):
    found = rows({name: part for name, part in {**OBSERVATION, "valueQuantity": None, **value}.items() if part is not None}).rows
    return {name: part for name, part in found[0].values.items() if name.startswith(("value", "unit", "range", "operator")) and part is not None}


def test_a_number_keeps_its_digits_as_source():
    assert result(valueQuantity=OBSERVATION["valueQuantity"]) == {"value_as_number": 72.5, "value_source_value": "72.50", "unit_concept_id": 9529, "unit_source_value": "kg"}


@pytest.mark.parametrize(("comparator", "operator"), [("<", 4171756), ("<=", 4171754), (">=", 4171755), (">", 4172704)])
def test_a_comparator_becomes_an_operator(comparator, operator):
    found = result(valueQuantity={"value": 5, "comparator": comparator, "system": UCUM, "code": "kg"})
    assert (found["operator_concept_id"], found["value_as_number"], found["value_source_value"]) == (operator, 5.0, f"{comparator}5")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueQuantity": {"value": 3, "unit": "widgets"}}, {"value_as_number": 3.0, "value_source_value": "3", "unit_concept_id": 0, "unit_source_value": "widgets"}),
        ({"valueQuantity": {"value": 3}}, {"value_as_number": 3.0, "value_source_value": "3"}),
        ({"valueInteger": 4}, {"value_as_number": 4.0, "value_source_value": "4"}),
        ({"valueBoolean": False}, {"value_source_value": "false"}),
        ({"valueCodeableConcept": concept(SNOMED, "10828004")}, {"value_as_concept_id": 0, "value_source_value": "10828004"}),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, {"value_source_value": "1:128"}),
        ({"valueRange": {"low": {"value": 1}, "high": {"value": 2}}}, {"value_source_value": "1-2"}),
        ({"valueTime": "10:00:00"}, {"value_source_value": "10:00:00"}),
        ({"valuePeriod": {"start": "2026-01-01"}}, {"value_source_value": "2026-01-01/"}),
    ],
)
def test_every_kind_of_value_has_its_columns(value, expected):
    assert result(**value) == expected


def test_the_reference_range_of_everybody_counts():
    ranges = [{"appliesTo": [{"text": "men"}], "low": {"value": 9}}, {"low": {"value": 1}, "high": {"value": Decimal("2.5")}}]
    found = result(valueQuantity={"value": 3, "system": UCUM, "code": "kg"}, referenceRange=ranges)
    assert (found["range_low"], found["range_high"]) == (1.0, 2.5)


@pytest.mark.conformance("OMOP", "components become rows; the panel itself gives none")
def test_a_panel_is_its_components():
    panel = {**OBSERVATION, "code": concept(LOINC, "85354-9"), "component": [
        {"code": concept(LOINC, "8480-6"), "valueQuantity": {"value": 141, "system": UCUM, "code": "mm[Hg]"}},
        {"code": concept(LOINC, "8462-4"), "dataAbsentReason": concept(f"{HL7}/data-absent-reason", "error")},
        {"code": concept(LOINC, "8478-0"), "modifierExtension": [{"url": "urn:not"}], "valueQuantity": {"value": 1}},
    ]}  # fmt: skip
    del panel["valueQuantity"]
    found = rows(panel)
    assert [(row.table, row.key, row.values["measurement_concept_id"]) for row in found.rows] == [("measurement", "component[0]#0", 3004249)]
    assert [tuple(each) for each in found.excluded] == [("component[1]", "value-absent"), ("component[2]", "modifier-extension")]


def test_a_panel_of_members_gives_no_row_and_says_so():
    members = {name: value for name, value in OBSERVATION.items() if name != "valueQuantity"} | {"hasMember": [{"reference": "Observation/1"}]}
    assert reasons(members) == ["members"]


def answered(name, value):
    return {**{key: each for key, each in OBSERVATION.items() if key != "valueQuantity"}, name: value}


def test_an_answer_in_words_alone_is_words_and_not_absent():
    words = answered("valueCodeableConcept", {"text": "No growth"})
    assert reasons(words) == ["value-in-words"]
    assert rows(words, profile=Profile(text=True)).rows[0].values["value_source_value"] == "No growth"


def test_a_number_that_no_float_holds_stays_as_it_was_written():
    values = rows(answered("valueQuantity", {"value": Decimal("1e400"), "unit": "kg", "system": UCUM, "code": "kg"})).rows[0].values
    assert (values["value_as_number"], values["value_source_value"]) == (None, "1E+400")


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        ("2026-11-21T10:00:00Z", "2026-11-20T10:00:00Z", ("2026-11-21", None)),
        ("2026-11-21", "2026-11-20", ("2026-11-21", None)),
        ("2026-11-21T00:10:00+02:00", "2026-11-20T20:00:00-05:00", ("2026-11-21", "2026-11-21 01:00:00")),
        ("2026-11-20T23:30:00-05:00", "2026-11-21T00:30:00-05:00", ("2026-11-21", "2026-11-21 05:30:00")),
    ],
)
def test_nothing_ends_before_it_begins(start, end, kept):
    period = {"start": start, "end": end}
    visit = rows({**ENCOUNTER, "period": period}).rows[0].values
    drug = rows({**ADMINISTRATION, "effectiveDateTime": None, "effectivePeriod": period}).rows[0].values
    assert (visit["visit_end_date"], visit["visit_end_datetime"]) == (drug["drug_exposure_end_date"], drug["drug_exposure_end_datetime"]) == kept
    condition = rows({**CONDITION, "onsetDateTime": start, "abatementDateTime": end}).rows[0].values
    procedure = rows({**PROCEDURE, "performedDateTime": None, "performedPeriod": period}).rows[0].values
    assert condition["condition_end_datetime"] == procedure["procedure_end_datetime"] == kept[1]


def block(category, data, **more):
    return {
        "resourceType": "Observation", "status": "final", "code": concept(LOINC, "41950-7"), "category": [concept(f"{HL7}/observation-category", category)],
        "effectivePeriod": {"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T10:00:00Z"},
        "valueSampledData": {"origin": {"value": 10, "system": UCUM, "code": "/min"}, "period": 60000, "dimensions": 1, "data": data, **more},
    }  # fmt: skip


def test_an_hour_of_samples_is_its_mean_or_for_activity_its_sum():
    assert rows(block("vital-signs", "1 2 E 3 L U")).rows[0].values["value_as_number"] == 12.0
    assert rows(block("activity", "1 2 3", factor=2)).rows[0].values["value_as_number"] == 42.0
    assert rows(block("activity", "1 2 3")).rows[0].values["value_source_value"] == "sum of 3 samples"
    assert reasons(block("activity", "E E")) == ["value-absent"]
    assert reasons(block("activity", "1 2", dimensions=2)) == ["value-absent"]


@pytest.mark.conformance("OMOP", "what a patient said and what a patient's device measured keep type concepts of their own")
def test_where_a_result_comes_from():
    def source(**more):
        return rows({**OBSERVATION, **more}).rows[0].values["measurement_type_concept_id"]

    lab = [concept(f"{HL7}/observation-category", "laboratory")]
    assert source() == 32817
    assert source(category=lab) == 32856
    assert source(performer=[{"reference": "Patient/1"}]) == 32865
    assert source(performer=[{"reference": "Patient/1"}], device={"reference": "Device/1"}) == 705183
    assert source(identifier=[{"system": "https://chartloop.example/fhir/telemetry-block", "value": "1"}]) == 705183
    assert source(device={"reference": "Device/1"}) == 32817


# ---- times, people, references ------------------------------------------------------------------------------------------------


@pytest.mark.conformance("OMOP", "dates are never shifted by a time zone; datetimes are in UTC")
def test_the_date_is_as_recorded_and_the_datetime_in_utc():
    values = rows({**OBSERVATION, "effectiveDateTime": "2026-11-20T23:30:00-05:00"}).rows[0].values
    assert (values["measurement_date"], values["measurement_datetime"]) == ("2026-11-20", "2026-11-21 04:30:00")
    values = rows({**OBSERVATION, "effectiveDateTime": "2026-11-20"}).rows[0].values
    assert (values["measurement_date"], values["measurement_datetime"]) == ("2026-11-20", None)


def test_a_person_of_two_races_is_none_of_them_alone():
    us_core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
    races = [{"url": "ombCategory", "valueCoding": {"code": code}} for code in ("2106-3", "2054-5")]
    values = rows({**PATIENT, "gender": "other", "extension": [{"url": us_core, "extension": races}]}).rows[0].values
    assert (values["race_concept_id"], values["race_source_value"]) == (0, "2106-3|2054-5")
    assert (values["gender_concept_id"], values["gender_source_value"]) == (0, "other")
    assert rows({**PATIENT, "birthDate": "1961"}).rows[0].values["month_of_birth"] is None


def test_a_death_without_a_day_is_counted():
    found = rows({**PATIENT, "deceasedBoolean": True})
    assert [row.table for row in found.rows] == ["person"]
    assert [tuple(each) for each in found.excluded] == [("deceased", "death-without-date")]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Patient/1", "Patient/1"),
        ("https://ehr.example/fhir/Patient/1", "Patient/1"),
        ("Patient/1/_history/4", "Patient/1"),
        ("Group/1", ""),
        ("#p", ""),
        ("urn:uuid:57aa36e-b892", ""),
        ("Patient?identifier=1|2", ""),
        ("", ""),
    ],
)
def test_a_reference_is_read_in_every_form(reference, expected):
    assert local(reference, "Patient") == expected


def test_what_a_resource_depends_on():
    assert links({**DOCUMENT, "subject": {"reference": "Patient/1"}, "context": {"encounter": [{"reference": "Encounter/2"}]}}) == Links("Patient/1", "Encounter/2")
    assert links({**ENCOUNTER, "subject": {"reference": "Patient/1"}, "serviceProvider": {"reference": "Organization/3"}}) == Links("Patient/1", care_site="Organization/3")
    assert links({**ALLERGY, "patient": {"reference": "Patient/1"}}) == Links("Patient/1")
    assert links({**ADMINISTRATION, "subject": {"reference": "Patient/1"}, "medicationReference": {"reference": "Medication/4"}}) == Links("Patient/1", medication="Medication/4")


def test_a_dispense_lasts_as_long_as_its_supply():
    found = rows({**DISPENSE, "daysSupply": {"value": 2, "code": "wk"}, "quantity": {"value": 28}}).rows[0].values
    assert (found["drug_exposure_end_date"], found["days_supply"], found["quantity"]) == ("2026-12-03", 14, 28.0)


def test_words_come_in_only_where_the_site_wants_them():
    note = {**DOCUMENT, "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": "aGVsbG8="}}]}
    assert rows(note).rows[0].values["note_text"] == ""
    assert rows(note, profile=Profile(text=True)).rows[0].values["note_text"] == "hello"
    words = {**OBSERVATION, "valueString": "fine"}
    del words["valueQuantity"]
    assert rows(words, profile=Profile(text=True)).rows[0].values["value_source_value"] == "fine"


def test_a_prediction_is_not_an_observation():
    assert "RiskAssessment" not in FOLLOWED
    assert "DiagnosticReport" not in FOLLOWED
