"""Cut a clinical note into clauses of stemmed tokens with offsets, each token marked negated, family, hypothetical or not.

Offsets are Unicode code points into the text. The cues follow the ideas of NegEx and ConText.

Spec: https://doi.org/10.1006/jbin.2001.1029 (NegEx)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

NEGATED, FAMILY, HYPOTHETICAL, HISTORY = 1, 2, 4, 8
ASSESSMENT, COMPLAINT, EXAMINATION, RELATIVES = 1, 2, 3, 4

SYNONYMS = Path(__file__).with_name("coder_synonyms.txt")

_SPELLINGS = (("aemia", "emia"), ("haem", "hem"), ("oedema", "edema"), ("oeso", "eso"), ("paed", "ped"), ("tumour", "tumor"))
_ENDINGS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("oses", "osis"),
    ("ases", "asis"),
    ("ness", ""),
    ("ous", ""),
    ("al", ""),
    ("ic", ""),
    ("ing", ""),
    ("ed", ""),
    ("s", ""),
)
_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+")
_SENTENCE = re.compile(r"[^\n.;!?]+(?:[.](?=\w)[^\n.;!?]*)*")
_CLAUSE = re.compile(r"[^,:()\[\]]+")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "by",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "s",
        "she",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "this",
        "to",
        "was",
        "were",
        "which",
        "who",
        "with",
        "we",
        "after",
        "before",
        "during",
        "patient",
        "patients",
        "year",
        "old",
        "man",
        "woman",
        "male",
        "female",
        "day",
        "days",
        "month",
        "months",
        "did",
        "does",
        "do",
        "not",
        "no",
        "unspecified",
        "other",
        "specified",
        "elsewhere",
        "classified",
        "nec",
        "nos",
        "due",
        "without",
    ]
)
_PRE = (
    (
        NEGATED,
        (
            "no|not|without|denies|denied|denying|negative for|absence of|absent|free of|never|nor|neither|ruled out|rules out|exclude[sd]?|excluding"
            "|no evidence of|lack of|unremarkable for"
        ),
    ),
    (FAMILY, "mother|father|sister|brother|son|daughter|aunt|uncle|grandmother|grandfather|cousin|family history|maternal|paternal|siblings?|parents?"),
    (
        HYPOTHETICAL,
        (
            "if|should|rule out|r/o|to exclude|risk of|risk for|screening for|prophylaxis|prevent|prevention of|at risk|suspicion of|versus|return for"
            "|watch for|in case of|possible"
        ),
    ),
    (HISTORY, "history of|h/o|past medical history|previous|prior|formerly"),
)
_POST = re.compile(
    r"\b(?:(?:is|was|were|are|been|be) (?:ruled out|excluded|absent|negative|not (?:found|seen|present|observed|detected))"
    r"|denied|absent|negative|unlikely)\b",
    re.IGNORECASE,
)
_TURNS = re.compile(r"\b(?:but|however|although|though|except|whereas|patient|he|she)\b", re.IGNORECASE)
_STOPPERS = re.compile(r"\b(?:which|presented|presents|showed|shows|revealed|reveals|because|secondary to|due to|started|treated|diagnosed)\b", re.IGNORECASE)
_HEADINGS = re.compile(
    r"^[ \t*#\d.]*(?:(?P<s1>(?:final |discharge |admission )?(?:assessment|impression|diagnos[ei]s|problems?(?: list)?)"
    r"(?:[ \t]*(?:and|&|/)[ \t]*(?:plan|treatment|recommendations?))?)"
    r"|(?P<s2>(?:chief |presenting )?complaints?|reason for (?:visit|encounter|admission)"
    r"|(?:history of )?present illness|hpi|subjective|interval history|review of systems|ros)"
    r"|(?P<s3>(?:physical )?(?:examination|exam|findings)|objective|vital signs)"
    r"|(?P<s4>family history|family)"
    r"|(?P<s0>[A-Za-z][A-Za-z ]{2,30}))[ \t]*(?:(?P<alone>:?[ \t]*$)|:)",
    re.IGNORECASE | re.MULTILINE,
)
_CUES = tuple((flag, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for flag, words in _PRE)


@dataclass(frozen=True, slots=True)
class Token:
    """One stem with the place it came from and what the context says of it."""

    stem: str
    start: int
    end: int
    flags: int
    added: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """Neighbouring tokens without punctuation between them."""

    sentence: int
    tokens: tuple[Token, ...]
    section: int = 0


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Fold a word to a crude stem that note and code title share: lower case, American spelling, no plural."""
    w = word.lower()
    if len(w) > 4:
        for british, american in _SPELLINGS:
            w = w.replace(british, american)
        for ending, put in _ENDINGS:
            if w.endswith(ending) and len(w) - len(ending) >= 4 and not (ending == "s" and w.endswith(("ss", "us", "is"))):
                return w[: len(w) - len(ending)] + put
    return w


def content_stems(text: str) -> tuple[str, ...]:
    """Stem the words of a code title or synonym, stop words left out."""
    return tuple(stem(w) for w in _TOKEN.findall(text) if w.lower() not in _STOP)


@cache
def synonyms() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Read the product's own synonym file: first stem -> (stems to find, stems to add)."""
    found: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for line in SYNONYMS.read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition("=")
        if not right or line.startswith("#"):
            continue
        for phrase in left.split("|"):
            key = tuple(stem(w) for w in _TOKEN.findall(phrase))
            found.setdefault(key[0], []).append((key, content_stems(right)))
    return found


def _flag_spans(sentence: str) -> list[tuple[int, int, int]]:
    """Find (start, end, flag) spans of a sentence that a cue governs."""
    turns = [m.start() for m in _TURNS.finditer(sentence)]
    stops = sorted(turns + [m.start() for m in _STOPPERS.finditer(sentence)])
    spans = []
    for flag, pattern in _CUES:
        for cue in pattern.finditer(sentence):
            end = next((s for s in (turns if flag == FAMILY else stops) if s >= cue.end()), len(sentence))
            spans.append((cue.start(), end, flag))
    for cue in _POST.finditer(sentence):
        begin = max((s for s in stops if s < cue.start()), default=0)
        spans.append((begin, cue.end(), NEGATED))
    return spans


def _tokens(text: str, start: int, end: int, spans: list[tuple[int, int, int]], base: int) -> Iterator[Token]:
    for match in _TOKEN.finditer(text, start, end):
        word = match.group()
        if word.lower() in _STOP:
            continue
        flags = 0
        for low, high, flag in spans:
            if low <= match.start() - base < high:
                flags |= flag
        yield Token(stem(word), match.start(), match.end(), flags)


def _with_synonyms(tokens: list[Token]) -> list[Token]:
    """Add the stems that synonyms of the tokens stand for, at the same place."""
    table, added = synonyms(), []
    stems = [t.stem for t in tokens]
    for n, token in enumerate(tokens):
        for key, put in table.get(token.stem, ()):
            if tuple(stems[n : n + len(key)]) == key:
                end = tokens[n + len(key) - 1].end
                added += [Token(s, token.start, end, token.flags, added=True) for s in put if s not in key]
    return tokens + added


def sections(text: str) -> list[tuple[int, int, int]]:
    """Find (start, end, kind) of the parts under known headings; a heading with text on its line governs that line alone."""
    found: list[tuple[int, int, int]] = []
    for match in _HEADINGS.finditer(text):
        kind = next(int(name[1]) for name in ("s1", "s2", "s3", "s4", "s0") if match[name] is not None)
        alone = match["alone"] is not None
        if kind == 0 and (not alone or ":" not in match["alone"]):
            continue
        if found and found[-1][1] > match.start():
            found[-1] = (found[-1][0], match.start(), found[-1][2])
        line = text.find("\n", match.end())
        end = len(text) if alone or line < 0 else line
        found.append((match.start(), end, kind))
    return found


def clauses(text: str) -> list[Clause]:
    """Cut a note into clauses, in order."""
    found = []
    parts = sections(text)
    for number, sentence in enumerate(_SENTENCE.finditer(text)):
        spans = _flag_spans(sentence.group())
        for part in _CLAUSE.finditer(text, sentence.start(), sentence.end()):
            tokens = list(_tokens(text, part.start(), part.end(), spans, sentence.start()))
            if tokens:
                section = next((kind for low, high, kind in parts if low <= part.start() < high), 0)
                if section == RELATIVES:
                    tokens = [replace(t, flags=t.flags | FAMILY) for t in tokens]
                found.append(Clause(number, tuple(_with_synonyms(tokens)), section))
    return found
