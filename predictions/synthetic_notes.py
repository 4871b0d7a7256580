"""Seeded synthetic notes with known codes, in two sets that share no template and no phrase: A to train on, B to certify on.

Every note also mentions conditions that must not be coded: denied, of a relative, or only feared.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from predictions.codiesp import Chart
from terminology.icd10cm import Icd10cm

PHRASES = Path(__file__).with_name("synthetic_phrases.txt")
RARE_SHARE = 0.35


@dataclass(frozen=True, slots=True)
class NoteSet:
    """The sentence frames of one set; `{}` takes a phrase."""

    name: str
    opening: tuple[str, ...]
    complaint: tuple[str, ...]
    story: tuple[str, ...]
    negative: tuple[str, ...]
    filler: tuple[str, ...]
    positive: tuple[str, ...]
    headings: tuple[tuple[str, ...], ...]


A = NoteSet(
    "A",
    opening=(
        "{age}-year-old {sex} seen in clinic today for follow-up.",
        "This {age}-year-old {sex} presents for evaluation.",
        "Office visit of a {age}-year-old {sex}.",
    ),
    complaint=("{}.", "{} for a week.", "Follow-up of {}."),
    story=("Began with {} some days ago.", "Still bothered by {}.", "Complains of {}, worse at night.", "{} off and on."),
    negative=(
        "Patient denies {}.",
        "No {}.",
        "There is no evidence of {}.",
        "Family history: mother with {}.",
        "Rule out {}.",
        "Negative for {}.",
        "Return for any sign of {}.",
        "Father had {}.",
    ),
    filler=(
        "Lungs are clear to auscultation bilaterally.",
        "Abdomen soft, no tenderness.",
        "Vital signs were reviewed.",
        "Medications were reconciled.",
        "Follow up in three months.",
        "Labs were drawn today.",
        "Regular rate and rhythm.",
        "Alert and oriented.",
        "Examination of the chest, heart and abdomen was normal.",
        "Right knee and left knee with full range of motion.",
        "Neck supple, ears and throat normal.",
        "Right shoulder and lower back without restriction.",
        "Skin of the right and left lower limb intact.",
        "Chest x-ray reviewed.",
        "Head and eyes normal.",
        "Blood pressure, weight and glucose recorded.",
        "Kidney and liver function tests unremarkable.",
        "Right breast and left breast examined.",
        "Colonoscopy and blood count are up to date.",
        "Discussed diet, exercise and weight.",
        "Influenza and other vaccines offered.",
    ),
    positive=(
        "Assessment: {}.",
        "The patient has {}.",
        "{} is stable on current therapy.",
        "We reviewed {} and continued treatment.",
        "Today's visit addressed {}.",
        "She was treated for {}.",
        "1. {}",
        "- {}: continue medication",
    ),
    headings=(
        ("Chief complaint:", "CC:"),
        ("HISTORY OF PRESENT ILLNESS", "SUBJECTIVE:"),
        ("Exam:", "OBJECTIVE"),
        ("ASSESSMENT AND PLAN", "Assessment:", "DIAGNOSES:"),
    ),
)
B = NoteSet(
    "B",
    opening=(
        "Mr/Ms, {age} y.o. {sex}, established with this practice.",
        "Encounter note. Age {age}, {sex}.",
        "{sex}, {age} years of age, comes back to see us.",
    ),
    complaint=("Here about {}.", "{} since the weekend.", "{}; also a refill."),
    story=("Has had {} lately.", "Reports {} most evenings.", "{} comes and goes.", "Noticed {} after work."),
    negative=(
        "Denied {}.",
        "Without {}.",
        "Absence of {}.",
        "Her sister was diagnosed with {}.",
        "His brother: {}.",
        "{} was ruled out.",
        "Should watch for {}.",
        "Does not have {}, {} was excluded.",
    ),
    filler=(
        "Chest clear.",
        "Belly benign on palpation.",
        "BP and pulse recorded by nursing.",
        "Med list is up to date.",
        "See again next quarter.",
        "Blood work pending.",
        "Heart sounds normal.",
        "Well appearing.",
        "Joints of knee and shoulder move freely.",
        "Throat a little red.",
    ),
    positive=(
        "Impression - {}.",
        "{}; plan unchanged.",
        "Known {}, doing well.",
        "Ongoing {}.",
        "Admitted because of {}.",
        "Diagnosis of {} confirmed.",
        "* {}",
        "Managing {} with the usual regimen.",
    ),
    headings=(
        ("Reason for visit:", "Presenting complaint:"),
        ("Interval history:", "HPI"),
        ("Physical findings:", "PHYSICAL EXAM"),
        ("Impression:", "Problems", "Diagnosis:"),
    ),
)
SETS = {"A": A, "B": B}
PLAIN_SHARE = 0.3


def read_phrases(set_name: str) -> dict[str, tuple[str, ...]]:
    """Read the phrases of one set per code."""
    column = 1 + list(SETS).index(set_name)
    found = {}
    for line in PHRASES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            cells = [c.strip() for c in line.split("|")]
            found[cells[0]] = tuple(p.strip() for p in cells[column].split(";"))
    return found


def rare_phrases(icd: Icd10cm, set_name: str) -> dict[str, tuple[str, ...]]:
    """Take the words of the code system itself: set A the titles, set B the inclusion terms that are not titles."""
    found: dict[str, tuple[str, ...]] = {}
    titles = {_title_phrase(t) for t in icd.titles} | {t.lower() for t in icd.titles}
    for code, title in zip(icd.codes, icd.titles, strict=True):
        if not icd.billable(code) or icd.chapter(code) in {"19", "20", "22"}:
            continue
        if set_name == "A":
            found[code] = (_title_phrase(title),)
        else:
            terms = [t.rstrip(":").lower() for t in icd.terms(code)]
            found[code] = tuple(t for t in terms if t not in titles and " nos" not in f" {t}" and len(t.split()) <= 6)
    return {c: p for c, p in found.items() if p}


def _title_phrase(title: str) -> str:
    return re.sub(r",? unspecified\b", "", title).lower()


def synthetic_charts(icd: Icd10cm, set_name: str, *, charts: int, seed: int) -> list[Chart]:
    """Write notes of one set with their codes; the same arguments give the same notes."""
    rng = random.Random(f"{set_name}-{seed}")
    common, rare, frames = read_phrases(set_name), rare_phrases(icd, set_name), SETS[set_name]
    pools = (sorted(common), sorted(rare))
    return [_chart(f"synthetic-{set_name}-{n}", rng, frames, {**rare, **common}, pools, icd) for n in range(charts)]


def _pick(rng: random.Random, pools: tuple[Sequence[str], Sequence[str]], count: int, taken: Sequence[str], icd: Icd10cm) -> list[str]:
    """Choose codes that Excludes1 does not forbid together and that are not of one category."""
    found: list[str] = []
    while len(found) < count:
        code = rng.choice(pools[1] if rng.random() < RARE_SHARE else pools[0])
        if all(code[:3] != other[:3] and not icd.excludes1(code, other) for other in (*taken, *found)):
            found.append(code)
    return found


def _chart(
    id_: str, rng: random.Random, frames: NoteSet, phrases: dict[str, tuple[str, ...]], pools: tuple[Sequence[str], Sequence[str]], icd: Icd10cm
) -> Chart:
    """Write one note: a third without headings, the others with complaints and findings that the diagnoses explain and that are not coded."""
    codes = _pick(rng, pools, rng.randint(2, 7), (), icd)
    absent = _pick(rng, pools, rng.randint(1, 4), codes, icd)
    said = [_sentence(rng.choice(frames.positive), phrases[c], rng) for c in codes]
    denied = [_sentence(rng.choice(frames.negative), phrases[c], rng) for c in absent]
    filler = rng.sample(frames.filler, rng.randint(2, 5))
    opening = rng.choice(frames.opening).format(age=rng.randint(19, 91), sex=rng.choice(("man", "woman")))
    if rng.random() < PLAIN_SHARE:
        lines = [*said, *denied, *filler]
        rng.shuffle(lines)
        return Chart(id_, "\n".join([opening, *lines]) + "\n", tuple(codes))
    symptoms = [c for c in (*pools[0], *pools[1]) if c.startswith(("R", "M25.5"))]
    felt = [c for c in rng.sample(symptoms, rng.randint(2, 5)) if c not in codes]
    story = [*(_sentence(rng.choice(frames.story), phrases[c], rng) for c in felt[1:]), *denied]
    rng.shuffle(story)
    head = [rng.choice(h) for h in frames.headings]
    complaint = f"{head[0]} {_sentence(rng.choice(frames.complaint), phrases[felt[0]], rng)}" if felt else head[0]
    found = [*filler, *(_sentence("{}.", phrases[c], rng) for c in felt[-1:])]
    return Chart(id_, "\n".join([opening, complaint, "", head[1], *story, "", head[2], *found, "", head[3], *said]) + "\n", tuple(codes))


def _sentence(frame: str, phrases: Sequence[str], rng: random.Random) -> str:
    text = frame.format(rng.choice(phrases), rng.choice(phrases))
    return text[0].upper() + text[1:]
