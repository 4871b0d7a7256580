"""What each interaction word of the audit log is called in AuditEvent.type and subtype.

Spec: https://hl7.org/fhir/R4/valueset-audit-event-type.html, https://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_400.html (401, 403)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from fhir_server.names import BASE

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
WORDS: Final = f"{BASE}/CodeSystem/audit-interaction"
"""Our own words: every event has its own among its subtypes."""

REST: Final = "rest"
SOURCE, DESTINATION = "110153", "110152"
_RESTFUL: Final = frozenset({
    "read", "vread", "update", "patch", "delete", "history", "create", "search", "transaction", "batch", "operation", "capabilities",
})  # fmt: skip
_DISPLAY: Final[Mapping[str, str]] = MappingProxyType({
    "110100": "Application Activity", "110101": "Audit Log Used", "110106": "Export", "110107": "Import", "110110": "Patient Record",
    "110112": "Query", "110113": "Security Alert", "110114": "User Authentication", "110122": "Login", "110123": "Logout",
    "110127": "Emergency Override Started", "110129": "Security Configuration", "110132": "Use of Restricted Function",
    "110135": "Object Security Attributes Changed", "110136": "Security Roles Changed", "110137": "User Security Attributes Changed",
    SOURCE: "Source Role ID", DESTINATION: "Destination Role ID",
})  # fmt: skip

_DICOM: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "request": ("110100",),
    "login": ("110114", "110122"), "login-failed": ("110114", "110122"), "logout": ("110114", "110123"),
    "lockout": ("110113", "110137"),
    "token-issued": ("110114", "ITI-71"), "token-refused": ("110114", "ITI-71"), "token-revoked": ("110114", "110123"),
    "code-reuse": ("110113", "110132"), "refresh-reuse": ("110113", "110132"),
    "consent-page": ("110113", "110135"), "consent-changed": ("110113", "110135"), "labels-changed": ("110113", "110135"),
    "client-registered": ("110113", "110129"), "client-changed": ("110113", "110129"), "key-rotated": ("110113", "110129"),
    "policy-changed": ("110113", "110129"), "anchor-mismatch": ("110113", "110129"), "anchor-reset": ("110113", "110129"),
    "user-created": ("110113", "110137"), "user-changed": ("110113", "110137"),
    "break-glass": ("110113", "110127"),
    "grant-created": ("110113", "110136"), "grant-ended": ("110113", "110136"),
    "disclosure": ("110106", "disclose"), "claim-sent": ("110106", "disclose"), "export": ("110106",), "audit-export": ("110106", "110101"),
    "backup-created": ("110106",), "backup-restored": ("110107",), "store-copied": ("110106",),
    "answer-received": ("110107",), "message-received": ("110107",), "send-telemetry": ("110107",), "cds-feedback": ("110107",),
    "prediction-shown": ("110110",), "patient-mapped": ("110112",), "explorer": ("110110",),
    "omop-read": ("110112",), "omop-text": ("110112",), "omop-lineage": ("110112",),
    "audit-read": ("110101",), "audit-pruned": ("110101",), "audit-verified": ("110101",),
})  # fmt: skip
"""Interaction words that are none of REST, with their codes: the type, then what it is more precisely."""
_OTHER: Final = ("110100",)
"""A word that nobody has listed yet."""

_SUBTYPE_SYSTEMS: Final[Mapping[str, str]] = MappingProxyType({"ITI-71": "urn:ihe:event-type-code", "disclose": LIFECYCLE})


class Coding(NamedTuple):
    """A code and what it is called."""

    system: str
    code: str
    display: str = ""

    def json(self) -> dict[str, str]:
        """Write it as FHIR does."""
        return {"system": self.system, "code": self.code, **({"display": self.display} if self.display else {})}


def dicom(code: str) -> Coding:
    """Give a DICOM code with its name."""
    return Coding(DCM, code, _DISPLAY[code])


def is_restful(interaction: str) -> bool:
    """Whether a word is one of FHIR's REST."""
    return interaction in _RESTFUL


def event_type(interaction: str) -> Coding:
    """Give AuditEvent.type of a word."""
    return Coding(EVENT_TYPE, REST, "Restful Operation") if is_restful(interaction) else dicom(_DICOM.get(interaction, _OTHER)[0])


def event_subtypes(interaction: str) -> list[Coding]:
    """Give AuditEvent.subtype of a word; our own word is the last."""
    if is_restful(interaction):
        return [Coding(RESTFUL, interaction)]
    more = _DICOM.get(interaction, _OTHER)[1:]
    return [*(Coding(_SUBTYPE_SYSTEMS[code], code) if code in _SUBTYPE_SYSTEMS else dicom(code) for code in more), Coding(WORDS, interaction)]


class Words(NamedTuple):
    """Words that a code stands for: these, or all but those."""

    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()


def words_of_type(system: str | None, code: str) -> Words:
    """Say which words have a type; a word that nobody has listed has the one of application activity."""
    if (system, code) in ((DCM, _OTHER[0]), (None, _OTHER[0])):
        return Words(none_of=tuple(sorted({*_RESTFUL, *(word for word, codes in _DICOM.items() if codes[0] != code)})))
    return Words(tuple(word for word in sorted({*_RESTFUL, *_DICOM}) if _is(event_type(word), system, code)))


def words_of_subtype(system: str | None, code: str) -> Words:
    """Say which words have a subtype."""
    listed = tuple(word for word in sorted({*_RESTFUL, *_DICOM}) if any(_is(coding, system, code) for coding in event_subtypes(word)))
    return Words(listed or ((code,) if system in (None, WORDS) else ()))


def _is(coding: Coding, system: str | None, code: str) -> bool:
    return coding.code == code and system in (None, coding.system)
