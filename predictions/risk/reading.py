"""Resources of a chart to the features of a patient; pure.

The newest valid value of a code counts: final, amended or corrected, not flagged as implausible, in a unit that is understood, neither
older than its limit nor in the future. A value that does not qualify is as good as not recorded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.errors import Invalid
from predictions.risk import codes
from predictions.risk import features as f
from predictions.risk.ckd_epi import creatinine_to_egfr
from predictions.risk.features import Feature, Features
from predictions.risk.systems import IMPLAUSIBLE, LOINC, UCUM

VALID: Final = frozenset({"final", "amended", "corrected"})
ACTIVE: Final = frozenset({"active", "recurrence", "relapse"})
RETRACTED: Final = frozenset({"entered-in-error", "refuted"})
DOUBTED: Final = RETRACTED | {"unconfirmed", "provisional", "differential"}
"""What nobody has found yet: a diagnosis that is only considered is none."""
NOT_AN_ORDER: Final = frozenset({"proposal", "plan", "option"})
DAY_US: Final = 86_400_000_000


class Limits(NamedTuple):
    """How old a value may be, in days."""

    lab_days: int = 730
    vital_days: int = 365


class Entry(NamedTuple):
    """A resource and the reference of its version."""

    resource: Mapping[str, Any]
    reference: str


class _Found(NamedTuple):
    at_us: int
    value: float
    date: str
    reference: str
    said: str = ""


def chart_to_features(
    patient: Entry, observations: Iterable[Entry], conditions: Sequence[Entry], medicines: Sequence[Entry], *, at_us: int, limits: Limits
) -> Features:
    """Read one patient's chart as it was at an instant.

    Args:
        patient: The Patient.
        observations: Of the codes of `codes`, any order; others are passed over.
        conditions: Of the patient, whatever their status.
        medicines: MedicationRequests and MedicationStatements, whatever their status.
        at_us: The instant; what is dated later is not known yet.
        limits: How old a value may be.
    """
    body = patient.resource
    sex = str(body.get("gender", "")) if body.get("gender") in {"female", "male"} else ""
    values: dict[str, Feature] = {}
    if (age := age_at(body, at_us)) is not None:
        values[f.AGE] = Feature(float(age), basis=(patient.reference,))
    if sex:
        values[f.MALE] = Feature(float(sex == "male"), basis=(patient.reference,))
    newest = _newest(observations, at_us, limits)
    values |= {name: Feature(found.value, found.date, (found.reference,), found.said) for name, found in newest.items() if name != codes.CREATININE}
    if (creatinine := newest.get(codes.CREATININE)) is not None and age is not None and sex:
        egfr = creatinine_to_egfr(creatinine.value, age, female=sex == "female")
        values[f.EGFR] = Feature(egfr, creatinine.date, (creatinine.reference,))
    for name, holds in ((f.DIABETES, (codes.DIABETES,)), (f.CARDIOVASCULAR, (codes.STROKE, codes.CARDIOVASCULAR))):
        values[name] = _condition(conditions, holds, at_us, resolved=name == f.CARDIOVASCULAR)
    for name, medicine in ((f.ANTIHYPERTENSIVE, codes.ANTIHYPERTENSIVE), (f.STATIN, codes.STATIN)):
        values[name] = _medicine(medicines, medicine, at_us)
    return Features(f"Patient/{body.get('id', '')}", sex, values, alive=not _dead(body, at_us))


def age_at(patient: Mapping[str, Any], at_us: int) -> int | None:
    """Return completed years at an instant (UTC); None if the day of birth is not recorded in full."""
    try:
        born = dt.date.fromisoformat(str(patient.get("birthDate", "")))
    except ValueError:
        return None
    today = dt.date.fromisoformat(clock.iso(at_us)[:10])
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return years if years >= 0 else None


def instant_us(text: object) -> int | None:
    """Read a FHIR date, dateTime or instant; of a date its first moment in UTC, None where it is none."""
    written = str(text or "")
    written = {4: f"{written}-01-01", 7: f"{written}-01"}.get(len(written), written)
    try:
        return clock.parse_iso(written if "T" in written else f"{written}T00:00:00Z")
    except Invalid:
        return None


def recorded(resource: Mapping[str, Any]) -> str:
    """Return when an observation was true: effectiveDateTime, effectiveInstant or the end of effectivePeriod."""
    period = resource.get("effectivePeriod", {})
    return str(resource.get("effectiveDateTime") or resource.get("effectiveInstant") or period.get("end") or period.get("start") or "")


def began(condition: Mapping[str, Any]) -> str:
    """Return when a condition began, else when it was recorded."""
    return str(condition.get("onsetDateTime") or condition.get("onsetPeriod", {}).get("start") or condition.get("recordedDate") or "")


def codings(concept: object) -> Iterator[tuple[str, str, str]]:
    """Yield (system, code, display) of a CodeableConcept."""
    for coding in concept.get("coding", ()) if isinstance(concept, Mapping) else ():
        yield str(coding.get("system", "")), str(coding.get("code", "")), str(coding.get("display", ""))


def status_in(resource: Mapping[str, Any], element: str) -> str:
    """Return the code of a status that is a CodeableConcept, "" if there is none."""
    return next((code for _, code, _ in codings(resource.get(element))), "")


def _dead(patient: Mapping[str, Any], at_us: int) -> bool:
    died = instant_us(patient.get("deceasedDateTime"))
    return patient.get("deceasedBoolean") is True or (died is not None and died <= at_us)


def _newest(observations: Iterable[Entry], at_us: int, limits: Limits) -> dict[str, _Found]:
    newest: dict[str, _Found] = {}
    for resource, reference in observations:
        date = recorded(resource)
        when = instant_us(date)
        if when is None or when > at_us:
            continue
        for name, value, said in valid_values(resource):
            days = limits.vital_days if name in {f.SYSTOLIC, f.BMI} else limits.lab_days
            # Of two at the same moment the larger reference decides, so that the order of a page never does.
            if at_us - when <= days * DAY_US and (name not in newest or (when, reference) > (newest[name].at_us, newest[name].reference)):
                newest[name] = _Found(when, value, date, reference, said)
    return newest


def _implausible(resource: Mapping[str, Any]) -> bool:
    return any(e.get("url") == IMPLAUSIBLE and e.get("valueBoolean") is not False for e in resource.get("extension", ()))


def valid_values(resource: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Yield (name, value, what is said) of an observation and of its components, as far as they are valid."""
    if resource.get("status") not in VALID or _implausible(resource):
        return
    for part in (resource, *resource.get("component", ())):
        for system, code, _ in codings(part.get("code")):
            if system != LOINC:
                continue
            if code == codes.SMOKING_STATUS:
                yield from _smoking(part.get("valueCodeableConcept"))
            elif (name := codes.MEASURED.get(code)) is not None:
                value = _quantity(name, part.get("valueQuantity"))
                if value is not None:
                    yield name, value, ""


def _quantity(name: str, quantity: object) -> float | None:
    """Convert a Quantity to the feature's unit; None for a unit that is not understood, a comparator, or no positive number."""
    if not isinstance(quantity, Mapping) or quantity.get("system") != UCUM or quantity.get("comparator"):
        return None
    factor, value = codes.UNITS[name].get(str(quantity.get("code", ""))), quantity.get("value")
    return value * factor if factor is not None and isinstance(value, (int, float)) and value > 0 else None


def _smoking(answer: object) -> Iterator[tuple[str, float, str]]:
    for system, code, display in codings(answer):
        if (smokes := codes.SMOKING.get((system, code))) is not None:
            yield f.SMOKING, float(smokes), f"{'yes' if smokes else 'no'} ({display})" if display else ""
            return


def _condition(conditions: Sequence[Entry], sets: Sequence[codes.CodeSet], at_us: int, *, resolved: bool) -> Feature:
    """Look for a condition that had begun; one whose beginning is not recorded counts as begun, one without a clinical status as active.

    FHIR asks for a clinical status in a problem list alone: the diagnosis of a visit may have none.
    """
    found: list[tuple[str, str]] = []
    for resource, reference in conditions:
        status = status_in(resource, "clinicalStatus")
        if status_in(resource, "verificationStatus") in DOUBTED or (status and status not in ACTIVE and not resolved):
            continue
        began_us = instant_us(began(resource))
        if (began_us is None or began_us <= at_us) and any(s.holds(system, code) for system, code, _ in codings(resource.get("code")) for s in sets):
            found.append((began(resource), reference))
    return _flag(found)


def _medicine(medicines: Sequence[Entry], medicine: codes.Medicine, at_us: int) -> Feature:
    found: list[tuple[str, str]] = []
    for resource, reference in medicines:
        date = str(resource.get("authoredOn") or resource.get("effectiveDateTime") or resource.get("effectivePeriod", {}).get("start") or "")
        when = instant_us(date)
        ordered = resource.get("intent") not in NOT_AN_ORDER and resource.get("doNotPerform") is not True
        if resource.get("status") != "active" or not ordered or (when is not None and when > at_us):
            continue
        concept = _medication(resource)
        text = str(concept.get("text", "")) if isinstance(concept, Mapping) else ""
        if any(medicine.holds(system, code, display or text) for system, code, display in codings(concept)):
            found.append((date, reference))
    return _flag(found)


def medication_id(resource: Mapping[str, Any]) -> str:
    """Return the id of the Medication that a prescription refers to; "" where it names its concept itself or contains it."""
    if resource.get("medicationCodeableConcept"):
        return ""
    parts = str(resource.get("medicationReference", {}).get("reference", "")).partition("/_history/")[0].split("/")
    return parts[-1] if parts[-2:-1] == ["Medication"] else ""


def with_medication(entry: Entry, concepts: Mapping[str, object]) -> Entry:
    """Return a prescription with the concept of the Medication that it refers to, by the Medication's id, where that is known."""
    concept = concepts.get(medication_id(entry.resource))
    return entry if concept is None else Entry({**entry.resource, "medicationCodeableConcept": concept}, entry.reference)


def _medication(resource: Mapping[str, Any]) -> object:
    """Return what is taken: the concept itself, or that of a contained Medication."""
    named = resource.get("medicationReference", {}).get("reference", "")
    contained = (c.get("code") for c in resource.get("contained", ()) if named == f"#{c.get('id', '')}")
    return resource.get("medicationCodeableConcept") or next(contained, None)


def _flag(found: Sequence[tuple[str, str]]) -> Feature:
    """Return yes with the newest that says so and every reference, or no."""
    if not found:
        return Feature(0.0, said=f.NO_FLAG)
    return Feature(1.0, max(date for date, _ in found), tuple(sorted(reference for _, reference in found)))
