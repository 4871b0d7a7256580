"""Make concepts.json.zst, the shipped seed of OMOP concepts: facts of public vocabularies, found in public OHDSI files.

Taken: OHDSI's own concepts (Type Concept, Visit, Gender, Race, Ethnicity), LOINC measurements, UCUM, RxNorm, CVX and HCPCS.
Left out, although the samples hold them: SNOMED CT and dm+d (national licences), ATC (WHO), UK Biobank, OMOP Genomic,
questionnaires under LOINC with copyrights of others. CPT is in none of the files.

Run: python -m omop_bridge.generate_concepts SAMPLES ARCHIVE [--out FILE]

Spec: https://github.com/OHDSI/Vocabulary-v5.0/wiki
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import zstandard

from omop_bridge import concept_links as links
from omop_bridge.concepts import FACTS
from omop_bridge.generate_schema import TABLE_LEVEL, read_archive

DQD = "dqd/csv/OMOP_CDMv5.4_Concept_Level.csv"
RELEASE = "chartloop seed 1"
KEPT = {"CVX", "Ethnicity", "Gender", "HCPCS", "LOINC", "None", "Race", "RxNorm", "Type Concept", "Visit"}
_VISIT = re.compile(r"\[([^\]]+ Visit)\]\(https://athena\.ohdsi\.org/search-terms/terms/(\d+)\)")
_NOT_MEASURED = re.compile(r"\[(?:PROMIS|FACIT|PhenX|CMS|NeuroQol|NIH|MDS)")
_KNOWN_VISITS = {262: "ERIP"}
_TELEHEALTH = 5083

Row = list[Any]
"""concept_id, name, domain, vocabulary, class, standard flag, code; a code of "" is one that no public file gives."""


def _samples(text: str) -> Iterator[Row]:
    """Yield what may be shipped of the OHDSI samples' concepts."""
    for row in csv.DictReader(io.StringIO(text)):
        vocabulary, domain, standard = row["vocabulary_id"], row["domain_id"], row["standard_concept"]
        if vocabulary not in KEPT or (standard != "S" and vocabulary != "None"):
            continue
        if vocabulary == "LOINC" and ((domain != "Measurement" and row["concept_code"] not in links.OBSERVATIONS) or _NOT_MEASURED.search(row["concept_name"])):
            continue
        yield [int(row["concept_id"]), row["concept_name"], domain, vocabulary, row["concept_class_id"], standard, row["concept_code"]]


def _measurement_names(files: Mapping[str, str]) -> dict[int, str]:
    """The names that the DataQualityDashboard gives to measurement concepts."""
    rows = csv.DictReader(io.StringIO(files[DQD]))
    names = {int(row["conceptId"]): row["conceptName"].strip() for row in rows if row["cdmTableName"] == "MEASUREMENT"}
    return names | links.NAMES


def _loinc(files: Mapping[str, str]) -> Iterator[Row]:
    names = _measurement_names(files)
    for kind, codes in (("Clinical Observation", links.VITALS), ("Lab Test", links.LABS)):
        for code, concept_id in codes.items():
            yield [concept_id, names[concept_id], "Measurement", "LOINC", kind, "S", code]


def _visits(files: Mapping[str, str]) -> Iterator[Row]:
    """Yield the visits that CDM 5.4's own page on visit_occurrence names."""
    for name, found in _VISIT.findall(files[TABLE_LEVEL]):
        concept_id = int(found)
        if concept_id == _TELEHEALTH:
            yield [concept_id, "Telehealth", "Visit", "CMS Place of Service", "Visit", "S", "02"]
        else:
            yield [concept_id, name, "Visit", "Visit", "Visit", "S", _KNOWN_VISITS.get(concept_id, "")]


def _linked() -> Iterator[Row]:
    for code, (concept_id, name) in links.UNITS.items():
        yield [concept_id, name, "Unit", "UCUM", "Unit", "S", code]
    for concept_id, name in links.TYPES.items():
        code = f"OMOP{links.FIRST_TYPE_CODE + concept_id - links.FIRST_TYPE}"
        yield [concept_id, name, "Type Concept", "Type Concept", "Type Concept", "S", code]
    for concept_id, sign in links.OPERATORS.items():
        yield [concept_id, sign, "Meas Value Operator", "SNOMED", "Qualifier Value", "S", ""]
    yield [756265, "OMOP CDM Version 5.4.0", "Metadata", "CDM", "CDM", "S", "CDM v5.4.0"]


def make_facts(samples: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Bring the sources together; a later one gives way to an earlier one, but for names: the DataQualityDashboard's are whole.

    Raises:
        click.ClickException: Two sources give one id different codes, or one code different ids.
    """
    concepts = {row[0]: row for row in _samples(samples)}
    for row in (*_loinc(files), *_visits(files), *_linked()):
        known = concepts.setdefault(row[0], row)
        if row[3] == "LOINC":
            known[1] = row[1]
        if known[6] and row[6] and (known[3], known[6]) != (row[3], row[6]):
            raise click.ClickException(f"Concept {row[0]} is {known[3]} {known[6]} in one source and {row[3]} {row[6]} in another.")
    codes = [(row[3], row[6]) for row in concepts.values() if row[6]]
    if len(codes) != len(set(codes)):
        raise click.ClickException("One code has two concept ids.")
    return {"release": RELEASE, "concepts": [concepts[key] for key in sorted(concepts)]}


@click.command()
@click.argument("samples", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=FACTS, help="Facts file to write.")
def main(samples: Path, archive: Path, out: Path) -> None:
    """Write the seed of concepts."""
    facts = make_facts(samples.read_text(encoding="utf-8"), read_archive(archive))
    out.write_bytes(zstandard.ZstdCompressor(level=19).compress(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()))
    click.echo(f"{out}: {out.stat().st_size:,} bytes, {len(facts['concepts']):,} concepts")


if __name__ == "__main__":
    main()
