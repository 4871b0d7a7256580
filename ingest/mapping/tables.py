"""HL7 tables to FHIR codes, facts of the v2-to-FHIR concept maps.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/concept_maps.html
"""

from __future__ import annotations

from ingest.mapping.systems import THO

GENDER = {"F": "female", "M": "male", "O": "other", "U": "unknown", "A": "other", "N": "other"}  # 0001
NAME_USE = {  # 0200
    "BAD": "old", "D": "usual", "L": "official", "M": "maiden", "MSK": "anonymous", "N": "nickname", "NAV": "temp", "R": "official", "TEMP": "temp",
}  # fmt: skip
ADDRESS_USE = {"BA": "old", "BI": "billing", "B": "work", "C": "temp", "H": "home", "O": "work"}  # 0190
ADDRESS_TYPE = {"M": "postal", "SH": "postal"}
TELECOM_USE = {"PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile", "EMR": "temp", "ASN": "work"}  # 0201
TELECOM_SYSTEM = {  # 0202
    "PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "Internet": "email", "X.400": "email",
    "TDD": "other", "TTY": "other", "SAT": "phone", "MD": "other",
}  # fmt: skip
MARITAL = {  # 0002
    "A": "L", "D": "D", "M": "M", "S": "S", "W": "W", "C": "C", "G": "T", "P": "T", "R": "T", "E": "L", "N": "A", "I": "I", "B": "U",
}  # fmt: skip
ENCOUNTER_CLASS = {"E": ("EMER", "emergency"), "I": ("IMP", "inpatient encounter"), "O": ("AMB", "ambulatory"), "P": ("PRENC", "pre-admission")}  # 0004
ENCOUNTER_STATUS = {"P": "planned", "U": "unknown"}  # 0004; every other class is in progress
PARTICIPATION = {7: ("ATND", "attender"), 8: ("REF", "referrer"), 9: ("CON", "consultant"), 17: ("ADM", "admitter")}  # by PV1 field
RELATIONSHIP = {  # 0063 and the codes that insurers write
    "SEL": "self", "SE": "self", "18": "self", "SPO": "spouse", "SP": "spouse", "01": "spouse",
    "CHD": "child", "CH": "child", "19": "child", "PAR": "parent", "FTH": "parent", "MTH": "parent",
}  # fmt: skip
DOC_STATUS = {  # 0271
    "AU": "final", "LA": "final", "PA": "preliminary", "DI": "preliminary", "DO": "preliminary", "IN": "preliminary", "IP": "preliminary",
}  # fmt: skip
AVAILABILITY = {"AV": "current", "UN": "current", "OB": "superseded", "CA": "entered-in-error"}  # 0273
CONFIDENTIALITY = {"U": "N", "R": "R", "V": "V", "1": "N", "2": "R", "3": "V"}  # 0272
DOCUMENT_TYPE = {  # 0270 -> LOINC
    "AR": ("18743-5", "Autopsy report"),
    "CN": ("11488-4", "Consult note"),
    "DI": ("18748-4", "Diagnostic imaging study"),
    "DS": ("18842-5", "Discharge summary"),
    "ED": ("34111-5", "Emergency department Note"),
    "HP": ("34117-2", "History and physical note"),
    "OP": ("11504-8", "Surgical operation note"),
    "PC": ("34788-0", "Psychiatry Consult note"),
    "PH": ("28635-4", "Psychiatry Initial evaluation note"),
    "PN": ("28570-0", "Procedure note"),
    "PR": ("11506-3", "Progress note"),
    "SP": ("11526-1", "Pathology study"),
    "TS": ("18761-7", "Transfer summary note"),
}
PRACTICE_SETTING = {  # hospital service (0069 and what sites use) -> SNOMED CT practice setting
    "MED": ("394802001", "General medicine"),
    "FAM": ("419772000", "Family practice"),
    "SUR": ("394609007", "General surgery"),
    "CAR": ("394579002", "Cardiology"),
    "PUL": ("418112009", "Pulmonary medicine"),
    "URO": ("394612005", "Urology"),
    "PSY": ("394587001", "Psychiatry"),
    "PSI": ("394587001", "Psychiatry"),
    "PSYCH": ("394587001", "Psychiatry"),
    "BH": ("394587001", "Psychiatry"),
}
ENCOUNTER_CLASS_SYSTEM = f"{THO}/v3-ActCode"
PARTICIPATION_SYSTEM = f"{THO}/v3-ParticipationType"
RESULT_STATUS = {  # 0085; N was not asked, O is an order without a result
    "A": "amended", "B": "amended", "C": "corrected", "D": "entered-in-error", "F": "final", "I": "registered", "N": "cancelled", "O": "registered",
    "P": "preliminary", "R": "preliminary", "S": "preliminary", "U": "final", "V": "final", "W": "entered-in-error", "X": "cancelled",
}  # fmt: skip
RESULT_ABSENT = {
    "I": "temp-unknown",
    "O": "temp-unknown",
    "N": "not-asked",
    "X": "not-performed",
    "R": "temp-unknown",
    "S": "temp-unknown",
    "P": "temp-unknown",
}
REPORT_STATUS = {  # 0123
    "A": "partial", "C": "corrected", "F": "final", "I": "registered", "M": "preliminary", "N": "registered", "O": "registered", "P": "preliminary",
    "R": "partial", "S": "registered", "X": "cancelled", "Y": "unknown", "Z": "unknown",
}  # fmt: skip
INTERPRETATION = {  # 0078, those that v3 ObservationInterpretation has as well
    "<": "Off scale low", ">": "Off scale high", "A": "Abnormal", "AA": "Critical abnormal", "B": "Better", "CAR": "Carrier", "D": "Significant change down",
    "DET": "Detected", "E": "Equivocal", "EX": "outside threshold", "EXP": "Expected", "H": "High", "HH": "Critical high", "HU": "Significantly high",
    "HX": "above high threshold", "I": "Intermediate", "IE": "Insufficient evidence", "IND": "Indeterminate", "L": "Low", "LL": "Critical low",
    "LU": "Significantly low", "LX": "below low threshold", "MS": "moderately susceptible", "N": "Normal", "NCL": "No CLSI defined breakpoint",
    "ND": "Not detected", "NEG": "Negative", "NR": "Non-reactive", "NS": "Non-susceptible", "POS": "Positive", "R": "Resistant", "RR": "Reactive",
    "S": "Susceptible", "SDD": "Susceptible-dose dependent", "SYN-R": "Synergy - resistant", "SYN-S": "Synergy - susceptible",
    "U": "Significant change up", "UNE": "Unexpected", "VS": "very susceptible", "W": "Worse", "WR": "Weakly reactive",
}  # fmt: skip
INTERPRETATION_V2_ONLY = frozenset({"AC", "HM", "OBX", "QCF", "TOX"})  # 0078 without a counterpart
LABORATORY_SECTIONS = frozenset(  # 0074
    {"BG", "BLB", "CG", "CH", "CP", "GE", "HM", "IMM", "LAB", "MB", "MCB", "MYC", "OSL", "SR", "SP", "TX", "VR"},
)
IMAGING_SECTIONS = frozenset({"CT", "CUS", "NMR", "NMS", "OUS", "RAD", "RUS", "RX", "VUS", "XRC"})
PROCEDURE_SECTIONS = frozenset({"AU", "CTH", "EC", "EN", "PF"})
