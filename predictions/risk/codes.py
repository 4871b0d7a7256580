"""Which codes mean a feature: LOINC, SNOMED CT, ICD-10, RxNorm and ATC.

Written from memory of the published code systems, and checked against the samples that travel beside the project where they hold them;
a site that codes otherwise will see "not recorded", never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from predictions.risk import features as f
from predictions.risk.systems import ATC, ICD_10, ICD_10_CM, LOINC, RXNORM, SNOMED

CREATININE: Final = "creatinine"
MG_PER_MMOL_CHOLESTEROL: Final = 1 / 0.02586
MG_PER_UMOL_CREATININE: Final = 0.0113122
"""mg/dL in 1 umol/L: the molar mass of creatinine is 113.12 g/mol."""

MEASURED: Final[Mapping[str, str]] = {
    "2093-3": f.TOTAL,
    "14647-2": f.TOTAL,
    "35200-5": f.TOTAL,
    "2085-9": f.HDL,
    "14646-4": f.HDL,
    "2160-0": CREATININE,
    "38483-4": CREATININE,
    "14682-9": CREATININE,
    "35203-9": CREATININE,
    "59826-8": CREATININE,
    "77140-2": CREATININE,
    "98979-8": f.EGFR,
    "8480-6": f.SYSTOLIC,
    "8459-0": f.SYSTOLIC,
    "39156-5": f.BMI,
}
"""LOINC of single values and of components. Of reported eGFR only CKD-EPI 2021: older equations mean something else."""

UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    f.TOTAL: {"mg/dL": 1.0, "mmol/L": MG_PER_MMOL_CHOLESTEROL},
    f.HDL: {"mg/dL": 1.0, "mmol/L": MG_PER_MMOL_CHOLESTEROL},
    CREATININE: {"mg/dL": 1.0, "umol/L": MG_PER_UMOL_CREATININE},
    f.EGFR: {"mL/min/{1.73_m2}": 1.0},
    f.SYSTOLIC: {"mm[Hg]": 1.0, "kPa": 7.50062},
    f.BMI: {"kg/m2": 1.0},
}
"""UCUM units that are understood, and what one of them is in the unit of the feature."""

SMOKING_STATUS: Final = "72166-2"
SYSTOLIC: Final = ("8480-6", "8459-0")
"""Blood pressure comes often: alone, or as a component of a panel; lying or standing it is not what the equations mean."""
SELDOM: Final = (*(code for code in MEASURED if code not in SYSTOLIC), SMOKING_STATUS)

SMOKING: Final[Mapping[tuple[str, str], bool]] = {
    **{(SNOMED, code): True for code in ("449868002", "428041000124106", "428071000124103", "428061000124105", "77176002")},
    **{(SNOMED, code): False for code in ("8517006", "266919005", "8392000", "160603005")},
    **{(LOINC, code): True for code in ("LA18976-3", "LA18977-1", "LA18979-7", "LA18981-3", "LA18982-1")},
    **{(LOINC, code): False for code in ("LA15920-4", "LA18978-9")},
}


class CodeSet(NamedTuple):
    """Codes by exact value, or by how they begin, in their systems."""

    exact: frozenset[tuple[str, str]]
    prefixes: Mapping[str, tuple[str, ...]]

    def holds(self, system: str, code: str) -> bool:
        """Whether a code is in the set."""
        return (system, code) in self.exact or code.startswith(self.prefixes.get(system, ("\0",)))


def _conditions(snomed: str, icd: tuple[str, ...]) -> CodeSet:
    return CodeSet(frozenset((SNOMED, code) for code in snomed.split()), {ICD_10_CM: icd, ICD_10: icd})


DIABETES: Final = _conditions(
    "73211009 44054006 46635009 127013003 422034002 1551000119108 1501000119109 368581000119106 90781000119102 60951000119105 97331000119101 157141000119108",
    ("E08", "E09", "E10", "E11", "E12", "E13", "E14"),
)
STROKE: Final = _conditions("230690007 422504002 432504007 274100004 21454007 371040005 371041009 1089421000000100", ("I60", "I61", "I62", "I63", "I64"))
CARDIOVASCULAR: Final = _conditions(
    "53741008 22298006 401303003 401314000 414545008 399211009 429559004 84114007 42343007 88805009",
    ("I20", "I21", "I22", "I23", "I24", "I25", "I50", "I69", "Z86.73"),
)
"""Known cardiovascular disease besides a stroke: the equations are for people without."""


class Medicine(NamedTuple):
    """A class of medicines: ATC prefixes, RxNorm ingredients, and the names that RxNorm's own product names hold."""

    atc: tuple[str, ...]
    ingredients: Mapping[str, str]

    def holds(self, system: str, code: str, display: str) -> bool:
        """Whether a coding names one: by its class, its ingredient, or as a product of RxNorm by its ingredient's name."""
        if system == ATC:
            return code.startswith(self.atc)
        return system == RXNORM and (code in self.ingredients or any(name in display.lower() for name in self.ingredients.values()))


def _medicine(atc: str, ingredients: str) -> Medicine:
    pairs = (entry.split(":") for entry in ingredients.split())
    return Medicine(tuple(atc.split()), {code: name for name, code in pairs})


STATIN: Final = _medicine(
    "C10AA C10BA C10BX", "atorvastatin:83367 rosuvastatin:301542 simvastatin:36567 pravastatin:42463 lovastatin:6472 fluvastatin:41127 pitavastatin:861634"
)
ANTIHYPERTENSIVE: Final = _medicine(
    "C02 C03A C03B C03D C03E C07 C08 C09",
    "lisinopril:29046 enalapril:3827 ramipril:35296 benazepril:18867 captopril:1998 quinapril:35208 fosinopril:50166 perindopril:54552 trandolapril:38454"
    " moexipril:30131 losartan:52175 valsartan:69749 irbesartan:83818 candesartan:214354 olmesartan:321064 telmisartan:73494 azilsartan:1091643"
    " amlodipine:17767 nifedipine:7417 felodipine:4316 isradipine:33910 nicardipine:7396 nisoldipine:7435 diltiazem:3443 verapamil:11170"
    " hydrochlorothiazide:5487 chlorthalidone:2409 indapamide:5764 metolazone:6916 metoprolol:6918 atenolol:1202 carvedilol:20352 bisoprolol:19484"
    " nebivolol:31555 propranolol:8787 labetalol:6185 nadolol:7226 spironolactone:9997 eplerenone:298869 clonidine:2599 hydralazine:5470"
    " methyldopa:6876 doxazosin:49276 prazosin:8629 terazosin:37798 aliskiren:325646",
)
