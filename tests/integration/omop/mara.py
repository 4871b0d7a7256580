"""Mara, a patient written for one test: literal FHIR, and what a person who read it put into the CDM by hand."""

from omop_bridge.concepts import Concept, Concepts, shipped

LOINC, SNOMED, UCUM, ICD = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org", "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM, CVX = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://hl7.org/fhir/sid/cvx"
ACT, HL7 = "http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://terminology.hl7.org/CodeSystem"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"


def vocabulary():
    """What is shipped, and a few concepts of the kinds that are not."""
    more = [
        Concept(320128, "Essential hypertension", "Condition", "SNOMED", "Disorder", "S", "59621000"),
        Concept(443731, "Renal disorder due to type 2 diabetes mellitus", "Condition", "SNOMED", "Disorder", "S", "420279001"),
        Concept(443601, "Chronic kidney disease stage 2", "Condition", "SNOMED", "Disorder", "S", "431856006"),
        Concept(45533023, "Type 2 diabetes mellitus with diabetic CKD", "Condition", "ICD10CM", "4-char billing code", "", "E11.22"),
        Concept(4013354, "Plain chest X-ray", "Procedure", "SNOMED", "Procedure", "S", "399208008"),
        Concept(4152194, "Blood pressure taking", "Measurement", "SNOMED", "Procedure", "S", "46973005"),
        Concept(4298794, "Smoker", "Observation", "SNOMED", "Clinical Finding", "S", "77176002"),
    ]
    seed = shipped()
    return Concepts(seed.release, [*seed.by_id.values(), *more], {45533023: [443731, 443601]})


def concept(system, code, **more):
    return {"coding": [{"system": system, "code": code, **more}]}


def quantity(value, unit, **more):
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def event(type_, id_, **more):
    return {"resourceType": type_, "id": id_, "subject": {"reference": "Patient/mara"}, **more}


def category(code):
    return [{"coding": [{"system": f"{HL7}/observation-category", "code": code}]}]


IN = {"encounter": {"reference": "Encounter/stay"}}
HOME = {"encounter": {"reference": "Encounter/visited"}}

RESOURCES = [
    {"resourceType": "Organization", "id": "anna", "name": "St. Anna", "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1999999984"}]},
    {
        "resourceType": "Patient", "id": "mara", "gender": "female", "birthDate": "1958-07-14", "deceasedDateTime": "2026-11-30T22:15:00-05:00",
        "identifier": [{"system": "urn:mrn", "value": "MRN-4711"}], "name": [{"family": "Lind", "given": ["Mara"]}],
        "extension": [
            {"url": f"{US_CORE}/us-core-race", "extension": [{"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3"}}, {"url": "text", "valueString": "White"}]},
            {"url": f"{US_CORE}/us-core-ethnicity", "extension": [{"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2186-5"}}, {"url": "text", "valueString": "Not Hispanic"}]},
        ],
    },
    event(
        "Encounter", "stay", status="finished", **{"class": {"system": ACT, "code": "IMP"}}, serviceProvider={"reference": "Organization/anna"},
        period={"start": "2026-11-20T23:30:00-05:00", "end": "2026-11-25T10:00:00-05:00"},
        hospitalization={"admitSource": concept(f"{HL7}/admit-source", "emd"), "dischargeDisposition": concept(f"{HL7}/discharge-disposition", "home")},
    ),
    event("Encounter", "visited", status="in-progress", **{"class": {"system": ACT, "code": "HH"}}, period={"start": "2026-11-28T09:00:00-05:00"}),
    event("Condition", "c1", code={"coding": [{"system": ICD, "code": "I10"}, {"system": SNOMED, "code": "59621000"}]}, category=[concept(f"{HL7}/condition-category", "problem-list-item")],
          clinicalStatus=concept(f"{HL7}/condition-clinical", "active"), onsetDateTime="2019-03-01", recordedDate="2026-11-21T08:00:00-05:00"),
    event("Condition", "c2", code=concept(ICD, "E11.22"), category=[concept(f"{HL7}/condition-category", "encounter-diagnosis")], recordedDate="2026-11-21T08:00:00-05:00", **IN),
    event("MedicationRequest", "d1", status="active", intent="order", medicationCodeableConcept=concept(RXNORM, "7407"), authoredOn="2026-11-25", **IN,
          dispenseRequest={"quantity": {"value": 30}, "numberOfRepeatsAllowed": 2, "expectedSupplyDuration": quantity(30, "d")}),
    event("MedicationAdministration", "d2", status="completed", contained=[{"resourceType": "Medication", "id": "m", "code": concept(RXNORM, "999999999")}],
          medicationReference={"reference": "#m"}, effectivePeriod={"start": "2026-11-22T08:00:00-05:00", "end": "2026-11-22T08:30:00-05:00"}, context={"reference": "Encounter/stay"},
          dosage={"dose": quantity(2.50, "mg"), "route": concept(SNOMED, "26643006")}),
    {"resourceType": "Immunization", "id": "d3", "status": "completed", "patient": {"reference": "Patient/mara"}, "vaccineCode": concept(CVX, "140"), "occurrenceDateTime": "2026-10-05",
     "lotNumber": "LOT-7", "doseQuantity": quantity(0.5, "mL")},
    event("MedicationStatement", "d4", status="active", medicationCodeableConcept=concept(RXNORM, "3322"), effectiveDateTime="2026-11-01", informationSource={"reference": "Patient/mara"}),
    event("Procedure", "p1", status="completed", code=concept(SNOMED, "399208008"), performedPeriod={"start": "2026-11-21T10:00:00-05:00", "end": "2026-11-21T10:20:00-05:00"}, **IN),
    event("Procedure", "p2", status="completed", code=concept(SNOMED, "46973005"), performedDateTime="2026-11-21", **IN),
    event("Observation", "bp", status="final", category=category("vital-signs"), code=concept(LOINC, "85354-9"), effectiveDateTime="2026-11-21T19:30:00-05:00", **IN,
          component=[{"code": concept(LOINC, "8480-6"), "valueQuantity": quantity(158, "mm[Hg]")}, {"code": concept(LOINC, "8462-4"), "valueQuantity": quantity(94, "mm[Hg]")}]),
    event("Observation", "crea", status="corrected", category=category("laboratory"), code=concept(LOINC, "2160-0"), effectiveDateTime="2026-11-21T06:00:00-05:00", **IN,
          valueQuantity=quantity(0.20, "mg/dL", comparator="<"), referenceRange=[{"low": quantity(0.5, "mg/dL"), "high": quantity(1.1, "mg/dL")}]),
    event("Observation", "pulse", status="final", category=category("vital-signs"), code=concept(LOINC, "8867-4"), device={"reference": "Device/watch"},
          identifier=[{"system": "https://chartloop.example/fhir/telemetry-block", "value": "x"}], effectivePeriod={"start": "2026-11-28T14:00:00Z", "end": "2026-11-28T15:00:00Z"},
          valueSampledData={"origin": quantity(0, "/min"), "period": 1200000, "dimensions": 1, "data": "60 E 63"}, **HOME),
    event("Observation", "smoke", status="final", category=category("social-history"), code=concept(LOINC, "72166-2"), effectiveDateTime="2026-11-21", performer=[{"reference": "Patient/mara"}],
          valueCodeableConcept=concept(SNOMED, "77176002")),
    {"resourceType": "AllergyIntolerance", "id": "a1", "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"), "patient": {"reference": "Patient/mara"}, "code": concept(SNOMED, "91936005"), "recordedDate": "2026-11-21T09:00:00-05:00"},
    event("DocumentReference", "n1", status="current", type=concept(LOINC, "11506-3"), date="2026-11-22T15:00:00Z", context=HOME | {"encounter": [{"reference": "Encounter/stay"}]},
          content=[{"attachment": {"contentType": "text/plain", "data": "TWFyYSBpcyB0aXJlZC4="}}]),
]  # fmt: skip

EHR, STAY, AT_HOME = 32817, {"person_id": 1, "visit_occurrence_id": 1}, {"person_id": 1, "visit_occurrence_id": 2}
PERSON = {"person_id": 1}

ROWS = {
    "care_site": [{"care_site_id": 1, "care_site_name": "St. Anna", "place_of_service_concept_id": 0}],
    "person": [
        {
            "person_id": 1, "gender_concept_id": 8532, "gender_source_value": "female", "gender_source_concept_id": 0, "year_of_birth": 1958, "month_of_birth": 7, "day_of_birth": 14,
            "race_concept_id": 8527, "race_source_value": "2106-3", "race_source_concept_id": 0,
            "ethnicity_concept_id": 38003564, "ethnicity_source_value": "2186-5", "ethnicity_source_concept_id": 0,
        }
    ],
    "death": [{"person_id": 1, "death_date": "2026-11-30", "death_datetime": "2026-12-01 03:15:00", "death_type_concept_id": EHR}],
    "visit_occurrence": [
        {
            "visit_occurrence_id": 1, "person_id": 1, "visit_concept_id": 9201, "visit_source_value": "IMP", "visit_source_concept_id": 0, "visit_type_concept_id": 32827, "care_site_id": 1,
            "visit_start_date": "2026-11-20", "visit_start_datetime": "2026-11-21 04:30:00", "visit_end_date": "2026-11-25", "visit_end_datetime": "2026-11-25 15:00:00",
            "admitted_from_concept_id": 0, "admitted_from_source_value": "emd", "discharged_to_concept_id": 0, "discharged_to_source_value": "home",
        },
        {
            "visit_occurrence_id": 2, "person_id": 1, "visit_concept_id": 581476, "visit_source_value": "HH", "visit_source_concept_id": 0, "visit_type_concept_id": 32882,
            "visit_start_date": "2026-11-28", "visit_start_datetime": "2026-11-28 14:00:00", "visit_end_date": "2026-11-28",
        },
    ],
    "condition_occurrence": [
        {
            "condition_occurrence_id": 1, **PERSON, "condition_concept_id": 320128, "condition_source_value": "59621000", "condition_source_concept_id": 320128,
            "condition_start_date": "2019-03-01", "condition_type_concept_id": 32840, "condition_status_concept_id": 0, "condition_status_source_value": "active",
        },
        *(
            {
                "condition_occurrence_id": number, **STAY, "condition_concept_id": target, "condition_source_value": "E11.22", "condition_source_concept_id": 45533023,
                "condition_start_date": "2026-11-21", "condition_start_datetime": "2026-11-21 13:00:00", "condition_type_concept_id": 32827, "condition_status_concept_id": 0,
            }
            for number, target in ((2, 443731), (3, 443601))
        ),
    ],
    "drug_exposure": [
        {
            "drug_exposure_id": 1, **PERSON, "drug_concept_id": 40213154, "drug_source_value": "140", "drug_source_concept_id": 40213154, "drug_type_concept_id": 32818,
            "drug_exposure_start_date": "2026-10-05", "drug_exposure_end_date": "2026-10-05", "quantity": 0.5, "lot_number": "LOT-7", "route_concept_id": 0,
        },
        {
            "drug_exposure_id": 2, **STAY, "drug_concept_id": 0, "drug_source_value": "999999999", "drug_source_concept_id": 0, "drug_type_concept_id": 32818,
            "drug_exposure_start_date": "2026-11-22", "drug_exposure_start_datetime": "2026-11-22 13:00:00", "drug_exposure_end_date": "2026-11-22",
            "drug_exposure_end_datetime": "2026-11-22 13:30:00", "verbatim_end_date": "2026-11-22", "quantity": 2.5, "dose_unit_source_value": "mg", "route_concept_id": 0,
            "route_source_value": "26643006",
        },
        {
            "drug_exposure_id": 3, **STAY, "drug_concept_id": 718583, "drug_source_value": "7407", "drug_source_concept_id": 718583, "drug_type_concept_id": 32838,
            "drug_exposure_start_date": "2026-11-25", "drug_exposure_end_date": "2026-12-24", "days_supply": 30, "quantity": 30, "refills": 2, "route_concept_id": 0,
        },
        {
            "drug_exposure_id": 4, **PERSON, "drug_concept_id": 723013, "drug_source_value": "3322", "drug_source_concept_id": 723013, "drug_type_concept_id": 32865,
            "drug_exposure_start_date": "2026-11-01", "drug_exposure_end_date": "2026-11-01", "route_concept_id": 0,
        },
    ],
    "procedure_occurrence": [
        {
            "procedure_occurrence_id": 1, **STAY, "procedure_concept_id": 4013354, "procedure_source_value": "399208008", "procedure_source_concept_id": 4013354,
            "procedure_type_concept_id": EHR, "procedure_date": "2026-11-21", "procedure_datetime": "2026-11-21 15:00:00", "procedure_end_date": "2026-11-21",
            "procedure_end_datetime": "2026-11-21 15:20:00",
        }
    ],
    "measurement": [
        *(
            {
                "measurement_id": number, **STAY, "measurement_concept_id": target, "measurement_source_value": code, "measurement_source_concept_id": target,
                "measurement_type_concept_id": EHR, "measurement_date": "2026-11-21", "measurement_datetime": "2026-11-22 00:30:00", "value_as_number": value,
                "value_source_value": str(value), "unit_concept_id": 8876, "unit_source_value": "mm[Hg]",
            }
            for number, target, code, value in ((1, 3004249, "8480-6", 158), (2, 3012888, "8462-4", 94))
        ),
        {
            "measurement_id": 3, **STAY, "measurement_concept_id": 3016723, "measurement_source_value": "2160-0", "measurement_source_concept_id": 3016723,
            "measurement_type_concept_id": 32856, "measurement_date": "2026-11-21", "measurement_datetime": "2026-11-21 11:00:00", "operator_concept_id": 4171756,
            "value_as_number": 0.2, "value_source_value": "<0.2", "unit_concept_id": 8840, "unit_source_value": "mg/dL", "range_low": 0.5, "range_high": 1.1,
        },
        {
            "measurement_id": 4, **AT_HOME, "measurement_concept_id": 3027018, "measurement_source_value": "8867-4", "measurement_source_concept_id": 3027018,
            "measurement_type_concept_id": 705183, "measurement_date": "2026-11-28", "measurement_datetime": "2026-11-28 14:00:00", "value_as_number": 61.5,
            "value_source_value": "mean of 2 samples", "unit_concept_id": 8541, "unit_source_value": "/min",
        },
        {
            "measurement_id": 5, **STAY, "measurement_concept_id": 4152194, "measurement_source_value": "46973005", "measurement_source_concept_id": 4152194,
            "measurement_type_concept_id": EHR, "measurement_date": "2026-11-21",
        },
    ],
    "observation": [
        {
            "observation_id": 1, **PERSON, "observation_concept_id": 0, "observation_source_value": "91936005", "observation_source_concept_id": 0, "observation_type_concept_id": EHR,
            "observation_date": "2026-11-21", "observation_datetime": "2026-11-21 14:00:00",
        },
        {
            "observation_id": 2, **PERSON, "observation_concept_id": 43054909, "observation_source_value": "72166-2", "observation_source_concept_id": 43054909,
            "observation_type_concept_id": 32865, "observation_date": "2026-11-21", "value_as_concept_id": 4298794, "value_source_value": "77176002",
        },
    ],
    "note": [
        {
            "note_id": 1, **STAY, "note_type_concept_id": 32831, "note_class_concept_id": 0, "note_text": "", "note_date": "2026-11-22", "note_datetime": "2026-11-22 15:00:00",
            "note_source_value": "11506-3", "encoding_concept_id": 0, "language_concept_id": 0,
        }
    ],
    "observation_period": [
        {
            "observation_period_id": 1, **PERSON, "observation_period_start_date": "2019-03-01", "observation_period_end_date": "2026-11-30", "period_type_concept_id": EHR,
        }
    ],
}  # fmt: skip
