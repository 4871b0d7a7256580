"""Names of identifier and code systems on both sides.

Spec: https://hl7.org/fhir/R4/terminologies-systems.html and HL7 table 0396 (coding system)
"""

from __future__ import annotations

import re
from urllib.parse import quote

BASE = "https://chartloop.example/fhir"
NPI = "http://hl7.org/fhir/sid/us-npi"
SSN = "http://hl7.org/fhir/sid/us-ssn"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
CPT = "http://www.ama-assn.org/go/cpt"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
THO = "http://terminology.hl7.org/CodeSystem"
PAYER_ID = f"{BASE}/payer-id"
MEMBER_ID = f"{BASE}/member-id"
FACILITY = f"{BASE}/facility"
MODIFIER = f"{BASE}/StructureDefinition/modifier"

_CODING_SYSTEMS = {
    "LN": LOINC,
    "LOINC": LOINC,
    "SCT": SNOMED,
    "SNOMED": SNOMED,
    "SNOMEDCT": SNOMED,
    "I10": ICD_10_CM,
    "I10C": ICD_10_CM,
    "ICD10": ICD_10_CM,
    "ICD10CM": ICD_10_CM,
    "ICD-10-CM": ICD_10_CM,
    "I9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm",
    "ICD9CM": "http://hl7.org/fhir/sid/icd-9-cm",
    "C4": CPT,
    "CPT": CPT,
    "CPT4": CPT,
    "HPC": HCPCS,
    "HCPCS": HCPCS,
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "UCUM": "http://unitsofmeasure.org",
}
_HL7_TABLE = re.compile(r"HL7(\d{4})")
_OID = re.compile(r"[0-2](\.\d+)+")
_HCPCS_CODE = re.compile(r"[A-V]\d{4}")
_CPT_CODE = re.compile(r"\d{4}[0-9FTU]")


def coding_system(name: str) -> str:
    """URI of a coding system as CWE-3 names it; empty for none, `…/CodeSystem/{name}` of ours for one that nobody knows."""
    if not name:
        return ""
    known = _CODING_SYSTEMS.get(name.upper())
    if known:
        return known
    table = _HL7_TABLE.fullmatch(name)
    if table:
        return f"{THO}/v2-{table.group(1)}"
    if _OID.fullmatch(name):
        return f"urn:oid:{name}"
    return name if is_uri(name) else f"{BASE}/CodeSystem/{quote(name, safe='')}"


def procedure_system(code: str, name: str) -> str:
    """System of a procedure code: as named, else by the code's form."""
    if name:
        return coding_system(name)
    if _HCPCS_CODE.fullmatch(code):
        return HCPCS
    return CPT if _CPT_CODE.fullmatch(code) else ""


def is_uri(name: str) -> bool:
    """Whether a name is a URI by itself."""
    return name.startswith(("http://", "https://", "urn:")) and not any(c.isspace() for c in name)


def identifier_system(kind: str, namespace: str, universal_id: str = "") -> str:
    """System of an identifier that an assigning authority (HD) gave.

    An authority that is a URI is the system itself, so that messages reach patients who were loaded as FHIR; a namespace becomes
    `{BASE}/{kind}/{namespace}`; an authority known only by its OID becomes `urn:oid:`.
    """
    for name in (universal_id, namespace):
        if is_uri(name):
            return name
    if not namespace and universal_id:
        return f"urn:oid:{universal_id}" if _OID.fullmatch(universal_id) else f"{BASE}/{kind}/{quote(universal_id, safe='')}"
    return f"{BASE}/{kind}/{quote(namespace or 'default', safe='')}"
