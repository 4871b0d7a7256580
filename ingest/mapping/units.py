"""Units as senders spell them to UCUM codes; none where a spelling says nothing sure.

Spec: https://ucum.org/ucum (case sensitive form)
"""

from __future__ import annotations

import re
from functools import lru_cache

UCUM = "http://unitsofmeasure.org"
_METRIC = (
    "m|g|s|L|l|mol|K|cd|rad|C|sr|Hz|N|Pa|J|W|A|V|F|Ohm|S|Wb|Cel|T|H|lm|lx|Bq|Gy|Sv|eq|osm|kat|U|bar|t|u|eV|st|cal|B|"
    r"m\[Hg\]|m\[H2O\]|\[IU\]|\[iU\]"
)
_OTHER = (
    r"%|10\*|10\^|deg|min|h|d|wk|mo|a|'|''|\[(?:ppth|ppm|ppb|pptr|pH|in_i|ft_i|yd_i|mi_i|lb_av|oz_av|gr|degF|Cal|drp|HPF|LPF|CFU|PFU|FFU|EU|ELU|AU|BAU|NTU|FNU|"
    r"MET|diop|p'diop|HP|IR|PNU|Lf|S|foz_us|pt_us|cup_us|tsp_us|tbs_us|gal_us|sin_i|cin_i|sft_i|psi|CCID_50|TCID_50|EID_50|Ch|car_Au|"
    r"(?:arb|USP|GPL|MPL|APL|beth|todd|dye|smgy|bdsk|ka|knk|mclg|tb|D'ag|anti'Xa)'U)\]"
)
_ANNOTATION = r"\{[^{}\s]*\}"
_FACTOR = rf"(?:(?:(?:Y|Z|E|P|T|G|M|k|h|da|d|c|m|u|n|p|f|a|z|y)?(?:{_METRIC})|{_OTHER})(?:[+-]?\d+)?|[1-9]\d*)(?:{_ANNOTATION})?|{_ANNOTATION}"
_GROUP = rf"(?:{_FACTOR}|\((?:{_FACTOR})(?:[./](?:{_FACTOR}))*\))"
_UCUM = re.compile(rf"/?{_GROUP}(?:[./]{_GROUP})*")
_POWER = re.compile(r"[xX\u00d7]?10(?:\*|\^|\*\*|[eE]\+?|\()(\d{1,2})\)?(/.*)?")
_LITRE = re.compile(r"(?:(?<=[./(])|^)([dcmunpfhk]?)l(?![A-Za-z])")
_LIKENESS = str.maketrans({"µ": "u", "μ": "u", "²": "2", "³": "3", "·": ".", "\N{DEGREE SIGN}": "deg"})
_AREA = re.compile(r"\(([a-z]?m)\^?([23])\)|(?<![A-Za-z])([a-z]?m)\^([23])")

# What sites write where UCUM has another spelling, in lower case, for one factor between the slashes.
_SPELLINGS = {
    "mcg": "ug", "mcgm": "ug", "mcl": "uL", "mcmol": "umol", "gm": "g", "gms": "g", "gram": "g", "grams": "g", "kgs": "kg", "kilograms": "kg",
    "liter": "L", "liters": "L", "litre": "L", "litres": "L", "cc": "mL", "dl": "dL", "ml": "mL", "ul": "uL", "fl": "fL", "nl": "nL",
    "iu": "[IU]", "miu": "m[IU]", "uiu": "u[IU]", "mciu": "u[IU]", "kiu": "k[IU]", "meq": "meq", "ueq": "ueq", "mosm": "mosm", "mosmol": "mosm", "mu": "mU",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "mins": "min",
    "minute": "min", "minutes": "min", "day": "d", "days": "d", "week": "wk", "weeks": "wk", "wks": "wk", "month": "mo", "months": "mo",
    "yr": "a", "yrs": "a", "year": "a", "years": "a", "mmhg": "mm[Hg]", "mm(hg)": "mm[Hg]", "torr": "mm[Hg]", "cmh2o": "cm[H2O]",
    "lb": "[lb_av]", "lbs": "[lb_av]", "pound": "[lb_av]", "pounds": "[lb_av]", "oz": "[oz_av]", "in": "[in_i]", "inch": "[in_i]", "inches": "[in_i]",
    "ft": "[ft_i]", "feet": "[ft_i]", "degf": "[degF]", "f": "[degF]", "fahrenheit": "[degF]", "degc": "Cel", "c": "Cel", "celsius": "Cel", "cel": "Cel",
    "degrees": "deg", "bpm": "/min", "percent": "%", "pct": "%", "ph": "[pH]", "cell": "{cell}", "cells": "{cells}", "copies": "{copies}", "copy": "{copies}",
    "cfu": "[CFU]", "hpf": "[HPF]", "lpf": "[LPF]", "ratio": "{ratio}", "index": "{index}", "score": "{score}", "inr": "{INR}", "s/co": "{s_co_ratio}",
    "gm%": "g/dL", "g%": "g/dL", "mg%": "mg/dL", "cumm": "mm3", "cmm": "mm3", "m^2": "m2", "m^3": "m3", "mm^3": "mm3", "1.73m2": "{1.73_m2}", "1.73m^2": "{1.73_m2}", "1.73": "{1.73_m2}", "1.73sqm": "{1.73_m2}",
    "beats": "", "breaths": "", "beat": "", "breath": "", "steps": "{steps}", "pack": "{pack}", "packs": "{pack}",
    "mm": "mm", "cm": "cm", "kg": "kg", "mg": "mg", "ug": "ug", "ng": "ng", "pg": "pg", "mmol": "mmol", "umol": "umol", "nmol": "nmol", "pmol": "pmol",
    "mol": "mol", "kpa": "kPa", "kat": "kat", "ukat": "ukat", "g": "g", "l": "L", "min": "min", "h": "h", "d": "d", "s": "s", "u": "U", "m2": "m2", "mm3": "mm3",
}  # fmt: skip
_THOUSANDS = frozenset({"k", "thou", "thous", "thousand", "thousands", "th", "x1000"})
_MILLIONS = frozenset({"m", "mil", "mill", "million", "millions"})
_COUNTED = frozenset({"uL", "mm3", "mL", "L"})
_WORDS = {"giga.l-1": "10*9/L", "tera.l-1": "10*12/L"}
_MOLAR = {"mM": "mmol/L", "uM": "umol/L", "nM": "nmol/L", "pM": "pmol/L"}
#: Letters that UCUM gives to units which no chart means, and spellings that mean two things (G/L: giga or gram).
_NOT_MEANT = frozenset({"F", "C", "K", "T", "G", "ML", "S", "H", "N", "A", "V", "B", "Pg", "PG", "st", "ft", "pt", "pH", "PH"})
_TWO_MEANINGS = frozenset({"G/L", "T/L", "M", "K", "units", "unit"})


@lru_cache(maxsize=4096)
def ucum_code(text: str) -> str | None:
    """UCUM code of a unit: the text itself if it is one, its translation if the spelling is a known one, else none."""
    plain = _AREA.sub(lambda found: "".join(part or "" for part in found.groups()), "".join(text.translate(_LIKENESS).split()))
    if not plain or plain in _TWO_MEANINGS:
        return None
    if plain in _MOLAR:
        return _MOLAR[plain]
    if _UCUM.fullmatch(plain) and plain.split("/", 1)[0] not in _NOT_MEANT:
        return _LITRE.sub(r"\1L", plain).replace("10^", "10*")
    power = _POWER.fullmatch(plain)
    if power is not None:
        rest = ucum_code(power.group(2)) if power.group(2) else ""
        return None if rest is None else f"10*{power.group(1)}{rest}"
    return _WORDS.get(plain.lower()) or _respelled(plain)


def _respelled(plain: str) -> str | None:
    parts = [_SPELLINGS.get(part.lower(), part) for part in plain.split("/")]
    first = plain.split("/", 1)[0].lower()
    if len(parts) > 1 and parts[1] in _COUNTED and first in _THOUSANDS | _MILLIONS:
        parts[0] = "10*3" if first in _THOUSANDS else "10*6"
    code = "/".join(parts)
    return code if _UCUM.fullmatch(code) else None
