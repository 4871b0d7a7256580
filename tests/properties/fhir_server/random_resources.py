"""Valid resources of ten types with every kind of search parameter, from a small stock of values, so that searches meet them often."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

Json = dict[str, Any]
Make = Callable[[random.Random], Any]

WORDS: Final = ("Smith", "smith", "SMÍTH", "Smithers", "Gold  smith", "O'Neil", "Åse", "Ase", "a,b", "10%_x", "de la Cruz", "x|y", "x$y", "back\\slash")
CODES: Final = ("x", "y", "z", "a,b", "c|d", "e$f", "X")
SYSTEMS: Final = ("", "urn:a", "urn:b")
DAYS: Final = ("1999", "2024", "2024-02", "2024-02-29", "2024-03-01", "2025-01-01")
TIMES: Final = ("2024-02-29T12:00:00Z", "2024-02-29T23:59:59.999Z", "2024-03-01T00:00:00+01:00", "2024-12-31T23:30:00-02:00", "2025-01-01T00:00:00Z")
NUMBERS: Final = ("0", "1", "1.0", "1.04", "1.05", "2", "70", "72.50", "0.001", "1000", "99.5", "100")
UCUM: Final = "http://unitsofmeasure.org"
UNITS: Final = ("kg", "g", "mg", "[lb_av]", "mm[Hg]", "kPa", "/min", "Hz")
URLS: Final = ("http://a.example/vs", "http://a.example/vs/1", "http://a.example/vs1", "http://a.example", "urn:oid:1.2.3")
PEOPLE: Final = ("Patient/a", "Patient/b", "http://127.0.0.1:8080/fhir/Patient/a", "https://elsewhere.example/fhir/Patient/a")


def word(rnd: random.Random) -> str:
    """A word."""
    return rnd.choice(WORDS)


def coding(rnd: random.Random) -> Json:
    """A Coding: with a system or without, with a display or without."""
    system = rnd.choice(SYSTEMS)
    return {"code": rnd.choice(CODES), **({"system": system} if system else {}), **({"display": word(rnd)} if rnd.random() < 0.4 else {})}


def concept(rnd: random.Random) -> Json:
    """A CodeableConcept: codings, a text, or both."""
    codings = {"coding": [coding(rnd) for _ in range(rnd.randint(1, 2))]} if rnd.random() < 0.9 else {}
    return {**codings, **({"text": word(rnd)} if not codings or rnd.random() < 0.3 else {})}


def identifier(rnd: random.Random) -> Json:
    """An Identifier: with a type that has codings, one with a text, or none."""
    system = rnd.choice(SYSTEMS)
    kind = rnd.choice(({}, {"type": {"coding": [{"system": "urn:t", "code": rnd.choice(("MR", "SS"))}]}}, {"type": {"text": word(rnd)}}))
    return {"value": rnd.choice(("1", "2", "a,b")), **({"system": system} if system else {}), **kind}


def moment(rnd: random.Random) -> str:
    """A dateTime."""
    return rnd.choice(DAYS + TIMES)


def day(rnd: random.Random) -> str:
    """A date."""
    return rnd.choice(DAYS)


def period(rnd: random.Random) -> Json:
    """A Period, open at either end or at none."""
    first, last = rnd.choice((("1999", "2024-02-29"), ("2024-02-29T12:00:00Z", "2024-03-01"), ("2024", "2024"), ("2024-02", "2025-01-01")))
    return rnd.choice(({"start": first, "end": last}, {"start": first, "end": last}, {"start": last}, {"end": first}))


def timing(rnd: random.Random) -> Json:
    """A Timing with events."""
    return {"event": sorted(moment(rnd) for _ in range(rnd.randint(1, 2)))}


def reference(*targets: str) -> Make:
    """References to some addresses, or to an identifier."""

    def make(rnd: random.Random) -> Json:
        return {"reference": rnd.choice(targets)} if rnd.random() < 0.85 else {"identifier": {"system": "urn:i", "value": rnd.choice("12")}}

    return make


def number(rnd: random.Random) -> Decimal:
    """A decimal, with its digits."""
    return Decimal(rnd.choice(NUMBERS))


def quantity(rnd: random.Random) -> Json:
    """A Quantity, now and then open at one end."""
    code = rnd.choice((*UNITS, "own"))
    system = rnd.choice((UCUM, UCUM, "urn:u")) if code != "own" else "urn:u"
    made = {"value": number(rnd), "system": system, "code": code, "unit": rnd.choice((code, code, "a word"))}
    return made | ({"comparator": rnd.choice(("<", "<=", ">", ">="))} if rnd.random() < 0.15 else {})


def money(rnd: random.Random) -> Json:
    """An amount of money."""
    return {"value": number(rnd), "currency": rnd.choice(("EUR", "USD"))}


def name(rnd: random.Random) -> Json:
    """A HumanName."""
    return _some(rnd, {"family": word, "given": _list(word), "text": word, "prefix": _list(word), "suffix": _list(word)}) or {"family": "Smith"}


def address(rnd: random.Random) -> Json:
    """An Address."""
    return _some(rnd, {"city": word, "line": _list(word), "state": word, "country": word, "postalCode": word, "text": word}) or {"city": "Åse"}


def _list(make: Make, most: int = 2) -> Make:
    return lambda rnd: [make(rnd) for _ in range(rnd.randint(1, most))]


def _one(*values: Any) -> Make:
    return lambda rnd: rnd.choice(values)


def _some(rnd: random.Random, parts: Mapping[str, Make], share: float = 0.5) -> Json:
    return {key: make(rnd) for key, make in parts.items() if rnd.random() < share}


def _choice(rnd: random.Random, *names: tuple[str, Make]) -> Json:
    key, make = rnd.choice(names)
    return {key: make(rnd)} if rnd.random() < 0.85 else {}


def _patient(rnd: random.Random) -> Json:
    telecom = [{"system": rnd.choice(("phone", "email")), "value": rnd.choice(("1", "2"))} for _ in range(rnd.randint(0, 2))]
    some = _some(rnd, {
        "name": _list(name), "address": _list(address), "birthDate": day, "gender": _one("male", "female"), "active": _one(True, False), "identifier": _list(identifier),
        "generalPractitioner": _list(reference("Practitioner/a", "Organization/a")), "managingOrganization": reference("Organization/a", "Organization/b"),
    })  # fmt: skip
    return {**some, **({"telecom": telecom} if telecom else {}), **_choice(rnd, ("deceasedBoolean", _one(True, False)), ("deceasedDateTime", moment), ("maritalStatus", concept))}


def _value(rnd: random.Random) -> Json:
    return _choice(
        rnd, ("valueQuantity", quantity), ("valueQuantity", quantity), ("valueCodeableConcept", concept), ("valueString", word), ("valueDateTime", moment), ("valuePeriod", period),
    )  # fmt: skip


def _observation(rnd: random.Random) -> Json:
    component = [{"code": concept(rnd), **_value(rnd)} for _ in range(rnd.randint(0, 3))]
    value = _value(rnd) if not component or rnd.random() < 0.5 else {}
    if value and component:  # obs-7: no component has the code of an Observation that has a value
        component = [{**each, "code": {"coding": [{"system": "urn:component", "code": rnd.choice(CODES)}]}} for each in component]
    some = _some(rnd, {"category": _list(concept), "subject": reference(*PEOPLE, "Group/a"), "encounter": reference("Encounter/a"), "identifier": _list(identifier)})
    when = _choice(rnd, ("effectiveDateTime", moment), ("effectivePeriod", period), ("effectiveTiming", timing), ("effectiveInstant", _one(*TIMES)))
    return {"status": rnd.choice(("final", "amended")), "code": concept(rnd), **some, **when, **value, **({"component": component} if component else {})}


def _condition(rnd: random.Random) -> Json:
    age = {"value": Decimal(rnd.choice(("1", "2", "70"))), "unit": "a", "system": UCUM, "code": "a"}
    span = {"low": {"value": Decimal(1), "system": UCUM, "code": "a"}, "high": {"value": Decimal(70), "system": UCUM, "code": "a"}}
    onset = _choice(rnd, ("onsetDateTime", moment), ("onsetPeriod", period), ("onsetString", word), ("onsetAge", _one(age)), ("onsetRange", _one(span)))
    some = _some(rnd, {"code": concept, "bodySite": _list(concept), "recordedDate": moment, "asserter": reference("Practitioner/a", "Patient/a")})
    return {"subject": reference(*PEOPLE)(rnd), **some, **onset}


def _risk(rnd: random.Random) -> Json:
    percent = {"low": {"value": Decimal(1), "system": UCUM, "code": "%"}, "high": {"value": Decimal(70), "system": UCUM, "code": "%"}}
    prediction = [
        {"outcome": concept(rnd), **_choice(rnd, ("probabilityDecimal", number), ("probabilityDecimal", number), ("probabilityRange", _one(percent)))}
        for _ in range(rnd.randint(1, 2))
    ]
    for each in prediction:
        if each.get("probabilityDecimal", 0) > 100:
            each["probabilityDecimal"] = Decimal("99.5")
    when = _choice(rnd, ("occurrenceDateTime", moment), ("occurrencePeriod", period))
    return {"status": "final", "subject": reference(*PEOPLE)(rnd), **when, **({"prediction": prediction} if rnd.random() < 0.8 else {})}


def _context(rnd: random.Random) -> Json:
    code = {"system": "urn:a", "code": rnd.choice(CODES)}
    span = {"low": {"value": Decimal(1), "system": UCUM, "code": "kg"}, "high": {"value": Decimal(70), "system": UCUM, "code": "kg"}}
    value = _choice(rnd, ("valueCodeableConcept", concept), ("valueQuantity", quantity), ("valueRange", _one(span)))
    return {"code": code, **(value or {"valueCodeableConcept": concept(rnd)})}


def _value_set(rnd: random.Random) -> Json:
    some = _some(rnd, {
        "url": _one(*URLS), "version": _one("1", "2"), "name": _one("Smith", "Smithers", "Ase"), "title": word, "publisher": word, "description": word, "date": moment,
        "useContext": _list(_context), "jurisdiction": _list(concept), "identifier": _list(identifier),
    })  # fmt: skip
    return {"status": rnd.choice(("draft", "active")), **some}


def _encounter(rnd: random.Random) -> Json:
    place = {"location": {"reference": rnd.choice(("Location/a", "Location/b"))}, "period": period(rnd)}
    person = {"individual": {"reference": rnd.choice(("Practitioner/a", "Practitioner/b"))}, "type": [concept(rnd)]}
    some = _some(rnd, {
        "type": _list(concept), "period": period, "location": _list(_one(place)), "participant": _list(_one(person)), "subject": reference(*PEOPLE[:3]),
        "length": _one({"value": Decimal(rnd.choice(("1", "2", "70"))), "unit": "h", "system": UCUM, "code": "h"}), "serviceProvider": reference("Organization/a"),
    })  # fmt: skip
    return {"status": rnd.choice(("finished", "planned")), "class": coding(rnd), **some}


def _charge(rnd: random.Random) -> Json:
    some = _some(rnd, {"factorOverride": number, "priceOverride": money, "enteredDate": moment, "quantity": quantity, "enterer": reference("Practitioner/a", *PEOPLE[:2])})
    return {"status": "billable", "code": concept(rnd), "subject": reference(*PEOPLE[:3])(rnd), **some, **_choice(rnd, ("occurrenceDateTime", moment), ("occurrencePeriod", period))}


def _group(rnd: random.Random) -> Json:
    kinds = [("valueCodeableConcept", concept), ("valueBoolean", _one(True, False)), ("valueQuantity", quantity)]
    characteristic = [{"code": concept(rnd), "exclude": rnd.random() < 0.5, **(_choice(rnd, *kinds) or {"valueBoolean": True})} for _ in range(rnd.randint(1, 2))]
    return {"type": "person", "actual": False, "characteristic": characteristic, **_some(rnd, {"code": concept, "managingEntity": reference("Organization/a")})}


def _document(rnd: random.Random) -> Json:
    relates = [{"code": rnd.choice(("replaces", "appends")), "target": {"reference": f"DocumentReference/{rnd.choice('ab')}"}} for _ in range(rnd.randint(1, 2))]
    attachment = {**_some(rnd, {"contentType": _one("text/plain", "text/xml"), "language": _one("de", "en"), "url": _one(*URLS), "creation": moment}), "title": "t"}
    some = _some(rnd, {"type": concept, "date": _one(*TIMES), "description": word, "relatesTo": _one(relates), "subject": reference(*PEOPLE), "context": _one({"period": period(rnd)})})
    return {"status": "current", "content": [{"attachment": attachment}], **some}


def _answers(rnd: random.Random) -> Json:
    some = _some(rnd, {"questionnaire": _one(*URLS[:4], "http://a.example/vs|1.0", "http://a.example/vs|1.1", "http://a.example/vs|2"), "authored": moment, "identifier": identifier})
    return {"status": "completed", **some, **_some(rnd, {"subject": reference(*PEOPLE), "author": reference("Practitioner/a", "Patient/b")})}


TYPES: Final[Mapping[str, Make]] = {
    "Patient": _patient, "Observation": _observation, "Condition": _condition, "RiskAssessment": _risk, "ValueSet": _value_set, "Encounter": _encounter, "ChargeItem": _charge,
    "Group": _group, "DocumentReference": _document, "QuestionnaireResponse": _answers,
}  # fmt: skip


def _meta(rnd: random.Random) -> Json:
    meta = _some(rnd, {"profile": _list(_one(*URLS)), "source": _one(*URLS), "tag": _list(coding)}, 0.3)
    return {"meta": meta} if meta else {}


def resources(seed: int, each: int) -> list[Json]:
    """Make as many of each type, always the same for a seed."""
    rnd = random.Random(seed)
    return [{"resourceType": type_, "id": f"{type_.lower()}-{place}", **_meta(rnd), **make(rnd)} for type_, make in TYPES.items() for place in range(each)]
