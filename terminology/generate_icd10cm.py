"""Make icd10cm.json.zst, the compact file of ICD-10-CM facts, from the official tabular XML.

The XML travels inside the PyPI package `simple-icd-10-cm` (data/icd10c-tabular-April-1-2026.xml); it is read as a file, so
the package is never imported and needs no setuptools here. The tabular list is in the public domain (NCHS/CMS).

Run: python -m terminology.generate_icd10cm [--tabular FILE] [--out FILE]

Spec: https://www.cdc.gov/nchs/icd/icd-10-cm/files.html
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import xml.etree.ElementTree as ET  # a trusted file of a pinned package, read at build time only
from pathlib import Path
from typing import Any

import click
import zstandard

from terminology.icd10cm import FACTS

SIX_CHARACTERS_AND_DOT = 7
TABULAR = "icd10c-tabular-April-1-2026.xml"
NOTES = {
    "inclusionTerm": "inclusion",
    "includes": "includes",
    "excludes1": "excludes1",
    "excludes2": "excludes2",
    "codeFirst": "code_first",
    "useAdditionalCode": "use_additional",
    "codeAlso": "code_also",
}


def tabular_path() -> Path:
    """Find the XML inside the installed package without importing it."""
    spec = importlib.util.find_spec("simple_icd_10_cm")
    if spec is None or spec.origin is None:
        raise click.ClickException("Install simple-icd-10-cm first: it carries the official tabular XML.")
    return Path(spec.origin).parent / "data" / TABULAR


def _notes(node: ET.Element, key: str, facts: dict[str, Any]) -> None:
    """Collect the instructional notes of one chapter, block or code under `key`."""
    for tag, name in NOTES.items():
        terms = [" ".join((n.text or "").split()) for group in node.findall(tag) for n in group.findall("note")]
        if terms:
            facts[name][key] = terms
    seventh = {e.get("char", ""): (e.text or "").strip() for e in node.findall("sevenChrDef/extension")}
    if seventh:
        facts["seventh"][key] = seventh


def _code(node: ET.Element, parent: str, facts: dict[str, Any], lines: list[tuple[str, str]]) -> None:
    """Add one code and everything under it, in tabular order."""
    code, title = (node.findtext("name") or "").strip(), " ".join((node.findtext("desc") or "").split())
    if parent and not code.startswith(parent):
        msg = f"{code} stands under {parent}: parents are not prefixes in this release, icd10cm.py relies on that"
        raise click.ClickException(msg)
    lines.append((code, title))
    _notes(node, code, facts)
    for child in node.findall("diag"):
        _code(child, code, facts, lines)
    for note in node.findall("*/note"):
        _except_seventh(note.text or "", facts, [c for c, _ in lines])


def _except_seventh(note: str, facts: dict[str, Any], codes: list[str]) -> None:
    """Apply "7th characters D and S do not apply to codes in category S06 with 6th character 7 …, or 8 …" (the one exception)."""
    match = re.search(r"7th characters (\w) and (\w) do not apply to codes in category (\w+) with 6th character (\d)\b.*\bor (\d)\b", note)
    if not match:
        return
    dropped, category, sixth = set(match.group(1, 2)), match.group(3), set(match.group(4, 5))
    for code in codes:
        if code.startswith(category) and len(code) == SIX_CHARACTERS_AND_DOT and code[-1] in sixth:
            facts["seventh"][code] = {k: v for k, v in facts["seventh"][category].items() if k not in dropped}


def tabular_to_facts(xml: bytes) -> dict[str, Any]:
    """Convert the tabular XML to columns of codes and titles and sparse maps of notes."""
    root = ET.fromstring(xml)  # noqa: S314 a file that a developer chose  # nosec B314
    facts: dict[str, Any] = {name: {} for name in (*NOTES.values(), "seventh")}
    lines: list[tuple[str, str]] = []
    chapters, blocks = [], []
    for chapter in root.findall("chapter"):
        sections = [(s.get("id", ""), (s.findtext("desc") or "").strip(), s) for s in chapter.findall("section")]
        number, title = (chapter.findtext("name") or "").strip(), (chapter.findtext("desc") or "").strip()
        ids = [i for i, _, s in sections if s.find("diag") is not None]
        chapters.append([number, f"{ids[0].split('-')[0]}-{ids[-1].split('-')[-1]}", title])
        _notes(chapter, f"chapter {number}", facts)
        for id_, desc, section in sections:
            blocks.append([id_, desc.rsplit(" (", 1)[0], number])
            _notes(section, f"block {id_}", facts)
            for diag in section.findall("diag"):
                _code(diag, "", facts, lines)
    facts |= {
        "system": "http://hl7.org/fhir/sid/icd-10-cm",
        "release": "2026-04-01",
        "source_sha256": hashlib.sha256(xml).hexdigest(),
        "chapters": chapters,
        "blocks": blocks,
        "codes": "\n".join(code for code, _ in lines),
        "titles": "\n".join(title for _, title in lines),
    }
    return facts


@click.command()
@click.option("--tabular", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Tabular XML; default: the one in simple-icd-10-cm.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=FACTS, help="Facts file to write.")
def main(tabular: Path | None, out: Path) -> None:
    """Write the compact ICD-10-CM facts file."""
    facts = tabular_to_facts((tabular or tabular_path()).read_bytes())
    body = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    out.write_bytes(zstandard.ZstdCompressor(level=19).compress(body))
    click.echo(f"{out}: {out.stat().st_size:,} bytes, {facts['codes'].count(chr(10)) + 1:,} tabular codes")


if __name__ == "__main__":
    main()
