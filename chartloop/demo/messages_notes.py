"""Ambulatory notes in the demo's own words, with the codes a coder would give them."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One condition as these notes tell it.

    Attributes:
        code: ICD-10-CM.
        complaint: Reason for the visit.
        story: History of present illness.
        finding: What the examination showed.
        assessment: Line of the assessment, with the condition in a clinician's words.
        plan: What follows.
        charges: HCPCS codes that go with it.
    """

    code: str
    complaint: str
    story: str
    finding: str
    assessment: str
    plan: str
    charges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Text of one note, its document type (table 0270), and the codes it supports, principal first."""

    type: str
    text: str
    codes: tuple[str, ...]
    charges: tuple[str, ...]


MEDICAL = (
    Topic(
        "I10",
        "Blood pressure recheck",
        "Home cuff readings have averaged 148/90 over the last month; no headache or visual change.",
        "BP 146/88 sitting, repeat 142/86.",
        "Essential hypertension, above goal.",
        "Increase lisinopril to 20 mg daily, low-salt diet, nurse check in 2 weeks.",
    ),
    Topic(
        "E11.9",
        "Diabetes visit",
        "Checks fasting sugars most mornings, range 110 to 140. No hypoglycemia. Feet without sores.",
        "Monofilament sensation intact in both feet.",
        "Type 2 diabetes mellitus without complications, A1c 6.9 percent.",
        "Continue metformin extended release 500 mg, repeat A1c in 3 months.",
    ),
    Topic(
        "E78.5",
        "Lipid follow-up",
        "Taking simvastatin every night, no muscle aches.",
        "No xanthelasma.",
        "Hyperlipidemia, LDL 118 on current dose.",
        "Fasting lipid panel before the next visit.",
    ),
    Topic(
        "N39.0",
        "Burning with urination",
        "Three days of dysuria and frequency, no flank pain, no fever.",
        "Mild suprapubic tenderness. Dipstick positive for nitrite and leukocytes.",
        "Urinary tract infection.",
        "Nitrofurantoin for 5 days, culture sent; one dose of ceftriaxone given in clinic.",
        ("J0696",),
    ),
    Topic(
        "M54.50",
        "Back pain",
        "Lifted boxes on Saturday, aching across the lumbar area since, no leg weakness or numbness.",
        "Paraspinal spasm, straight leg raise negative on both sides.",
        "Low back pain, mechanical.",
        "Ketorolac given intramuscularly today, heat, early walking.",
        ("J1885",),
    ),
    Topic(
        "M17.11",
        "Knee pain",
        "Stiffness of the right knee for a year, worse on stairs, better with rest.",
        "Crepitus and a small effusion of the right knee.",
        "Unilateral primary osteoarthritis of the right knee.",
        "Triamcinolone injected into the joint after consent, tolerated well. Home exercises.",
        ("J3301",),
    ),
    Topic(
        "J45.909",
        "Breathing check",
        "Uses the rescue inhaler about once a week, sleeps through the night.",
        "Lungs clear, no wheeze today.",
        "Asthma, mild, uncomplicated.",
        "Continue fluticasone inhaler; spacer technique reviewed.",
    ),
    Topic(
        "K21.9",
        "Heartburn",
        "Burning behind the breastbone after late meals, twice a week, no trouble swallowing.",
        "Abdomen soft, no epigastric mass.",
        "Gastroesophageal reflux disease without esophagitis.",
        "Omeprazole before breakfast for 8 weeks, no meals after 7 pm.",
    ),
    Topic(
        "E03.9",
        "Thyroid follow-up",
        "Less tired since the last dose change.",
        "Thyroid not enlarged.",
        "Hypothyroidism, TSH back in range.",
        "Same levothyroxine dose, TSH in 6 months.",
    ),
    Topic(
        "J02.9",
        "Sore throat",
        "Two days of throat pain and low fever, sick contacts at work.",
        "Pharynx red without exudate, rapid strep negative.",
        "Acute pharyngitis, likely viral.",
        "Fluids, acetaminophen, return if not better in 5 days.",
    ),
    Topic(
        "D50.9",
        "Fatigue",
        "Tired for months, gives blood often, eats little red meat.",
        "Conjunctivae pale.",
        "Iron deficiency anemia, ferritin 7.",
        "Oral iron every other day, stool test ordered, recheck blood count in 6 weeks.",
    ),
    Topic(
        "M10.9",
        "Toe pain",
        "Woke with a hot, very painful great toe after a wedding.",
        "First metatarsophalangeal joint red, warm and tender.",
        "Gout flare.",
        "Colchicine today and tomorrow; discuss allopurinol later.",
    ),
    Topic(
        "I48.91",
        "Palpitations follow-up",
        "Occasional fluttering, no chest pain or fainting. Takes warfarin.",
        "Irregularly irregular pulse of 78.",
        "Atrial fibrillation, rate controlled.",
        "INR today, continue digoxin.",
    ),
    Topic(
        "N18.30",
        "Kidney follow-up",
        "Avoids ibuprofen since last time. Creatinine stable.",
        "No edema.",
        "Chronic kidney disease stage 3, stable filtration rate.",
        "Basic metabolic panel in 3 months.",
    ),
)
PSYCHIATRIC = (
    Topic(
        "F32.1",
        "Low mood",
        "Ten weeks of low mood, early waking, poor appetite and loss of interest. Feels hopeless at times. Denies any plan to harm self.",
        "Affect flat, speech slow, thought process linear.",
        "Major depressive disorder, single episode, moderate.",
        "Start sertraline 50 mg, safety plan reviewed, therapy referral, return in 2 weeks.",
        ("H0004",),
    ),
    Topic(
        "F41.1",
        "Constant worry",
        "Worries about work and family most days for over a year, restless and tense, cannot fall asleep.",
        "Anxious affect, no psychotic features.",
        "Generalized anxiety disorder.",
        "Weekly cognitive therapy, consider buspirone.",
        ("H0004",),
    ),
    Topic(
        "F43.10",
        "Nightmares",
        "Nightmares and avoidance since a road crash last spring, startles easily.",
        "Hypervigilant, tearful when the crash is mentioned.",
        "Post-traumatic stress disorder.",
        "Trauma-focused therapy, prazosin at night.",
        ("H0004",),
    ),
)
_RELATIVES = ("mother had a stroke at 80", "father with prostate cancer", "a brother with epilepsy", "no illness known in the family")
_ABSENT = ("Denies chest pain, shortness of breath and syncope.", "No fever, no weight loss, no rash.", "No blood in stool, no vomiting.")
_SOCIAL = (
    "Drives a bus part-time, never smoked.",
    "Retired teacher, walks daily.",
    "Runs a small bakery, drinks wine on weekends.",
    "Lives alone with two cats.",
)


def medical_note(name: str, age: int, dice: random.Random) -> Note:
    """Progress note about two conditions."""
    topics = dice.sample(MEDICAL, 2)
    return _note("PR", "PROGRESS NOTE", name, age, topics, dice)


def psychiatric_note(name: str, age: int, dice: random.Random) -> Note:
    """Psychiatric consultation."""
    return _note("PC", "PSYCHIATRY CONSULTATION", name, age, [dice.choice(PSYCHIATRIC)], dice)


def _note(kind: str, title: str, name: str, age: int, topics: list[Topic], dice: random.Random) -> Note:
    assessment = [f"{number}. {topic.assessment} {topic.plan}" for number, topic in enumerate(topics, start=1)]
    lines = [
        title,
        f"Patient: {name}, {age} years",
        "",
        f"Chief complaint: {'; '.join(topic.complaint.lower() for topic in topics)}.",
        "",
        "History of present illness:",
        *(topic.story for topic in topics),
        dice.choice(_ABSENT),
        "",
        f"Family history: {dice.choice(_RELATIVES)}.",
        f"Social history: {dice.choice(_SOCIAL)}",
        "",
        "Examination:",
        *(topic.finding for topic in topics),
        "",
        "Assessment and plan:",
        *assessment,
        "",
        "Signed electronically by the attending.",
    ]
    return Note(kind, "\n".join(lines), tuple(topic.code for topic in topics), tuple(code for topic in topics for code in topic.charges))
