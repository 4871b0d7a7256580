"""The demo's clinic, its staff, and the payers it bills."""

from __future__ import annotations

from dataclasses import dataclass

from chartloop.demo.population_ids import BASE, NPI, TIN, Resource, identified, inside, npi

FACILITY = "MEADOW"
FACILITY_SYSTEM = f"{BASE}/facility"
PAYER_SYSTEM = f"{BASE}/payer-id"
STAFF_SYSTEM = f"{BASE}/staff"
TAXONOMY = "http://nucc.org/provider-taxonomy"
_ORGANIZATION_TYPE = "http://terminology.hl7.org/CodeSystem/organization-type"


@dataclass(frozen=True, slots=True)
class Practitioner:
    """A clinician of the clinic; `service` is the hospital service of the visits (PV1-10)."""

    npi: str
    family: str
    given: str
    service: str
    taxonomy: str
    specialty: str


@dataclass(frozen=True, slots=True)
class Payer:
    """A payer and its plan."""

    id: str
    name: str
    plan: str
    plan_type: str


CLINICIANS = (
    Practitioner(npi(20000001), "Okaforest", "Ada", "MED", "207R00000X", "Internal Medicine Physician"),
    Practitioner(npi(20000002), "Lindqvale", "Jonas", "FAM", "207Q00000X", "Family Medicine Physician"),
    Practitioner(npi(20000003), "Rosenbriar", "Miriam", "FAM", "207Q00000X", "Family Medicine Physician"),
)
PSYCHIATRIST = Practitioner(npi(20000009), "Vasquelle", "Elena", "PSY", "2084P0800X", "Psychiatry Physician")
STAFF = (
    ("coder-1", "Codewell", "Casey"),
    ("behavioral-coder-1", "Quietwater", "Robin"),
    ("billing-1", "Ledgerman", "Billie"),
    ("privacy-1", "Wardenhall", "Priscilla"),
    ("research-1", "Quillfield", "Rowan"),
)
PAYERS = (
    Payer("PRAIRIE01", "Prairie Mutual Health Plan", "Prairie Choice PPO", "12"),
    Payer("LAKESH02", "Lakeshore Assurance Company", "Lakeshore Standard", "CI"),
)


def directory(payer_address: str) -> list[Resource]:
    """Organisations, endpoints, practitioners, location and staff.

    Args:
        payer_address: Where the payers answer; each has its own path below it.
    """
    clinic = _clinic()
    resources = [clinic, _location(clinic)]
    for payer in PAYERS:
        endpoint = _endpoint(payer, payer_address)
        resources += [endpoint, _payer(payer, endpoint)]
    resources += [_practitioner(person) for person in (*CLINICIANS, PSYCHIATRIST)]
    resources += [_staff(*person) for person in STAFF]
    return resources


def endpoint_address(payer: Payer, payer_address: str) -> str:
    """Base address of one payer."""
    return f"{payer_address.rstrip('/')}/payers/{payer.id}"


def _clinic() -> Resource:
    return identified(
        "Organization",
        FACILITY_SYSTEM,
        FACILITY,
        active=True,
        type=[
            {"coding": [{"system": _ORGANIZATION_TYPE, "code": "prov", "display": "Healthcare Provider"}]},
            {"coding": [{"system": TAXONOMY, "code": "261QP2300X", "display": "Primary Care Clinic/Center"}]},
        ],
        name="Meadowbend Community Clinic",
        telecom=[{"system": "phone", "value": "+1-217-555-0142", "use": "work"}],
        address=[{"use": "work", "line": ["400 Bluestem Way"], "city": "Meadowbend", "state": "IL", "postalCode": "62799-4410", "country": "US"}],
        contact=[{"name": {"family": "Ledgerman", "given": ["Billie"]}, "telecom": [{"system": "phone", "value": "+1-217-555-0143"}]}],
    ) | {
        "identifier": [
            {"system": FACILITY_SYSTEM, "value": FACILITY},
            {"system": NPI, "value": npi(30000001)},
            {"system": TIN, "value": "370000042"},
        ],
    }


def _location(clinic: Resource) -> Resource:
    return identified(
        "Location", f"{BASE}/location/{FACILITY}", "CLINIC", status="active", name="Meadowbend Community Clinic", managingOrganization=inside(clinic)
    )


def _payer(payer: Payer, endpoint: Resource) -> Resource:
    return identified(
        "Organization",
        PAYER_SYSTEM,
        payer.id,
        active=True,
        type=[{"coding": [{"system": _ORGANIZATION_TYPE, "code": "pay", "display": "Payer"}]}],
        name=payer.name,
        endpoint=[inside(endpoint)],
    )


def _endpoint(payer: Payer, payer_address: str) -> Resource:
    return identified(
        "Endpoint",
        f"{BASE}/payer-endpoint",
        payer.id,
        status="active",
        connectionType={"system": f"{BASE}/CodeSystem/connection", "code": "x12-http"},
        name=f"{payer.name}: claims",
        payloadType=[{"text": "X12 005010 claims and remittances"}],
        payloadMimeType=["application/EDI-X12"],
        address=endpoint_address(payer, payer_address),
    )


def _practitioner(person: Practitioner) -> Resource:
    return identified(
        "Practitioner",
        NPI,
        person.npi,
        active=True,
        name=[{"use": "official", "family": person.family, "given": [person.given], "prefix": ["Dr."]}],
        qualification=[{"code": {"coding": [{"system": TAXONOMY, "code": person.taxonomy, "display": person.specialty}]}}],
    )


def _staff(number: str, family: str, given: str) -> Resource:
    return identified("Practitioner", STAFF_SYSTEM, number, active=True, name=[{"use": "official", "family": family, "given": [given]}])
