"""Read a folder of coded charts in the layout of CodiEsp v4: text_files_en/*.txt beside a tab-separated file of codes.

Spec: https://doi.org/10.5281/zenodo.3837305
"""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from terminology.icd10cm import normalize


@dataclass(frozen=True, slots=True)
class Chart:
    """One note with the diagnosis codes people gave it, in the order they gave them."""

    id: str
    text: str
    codes: tuple[str, ...]


def read_charts(corpus: Path) -> list[Chart]:
    """Read charts from a folder or from a .tar.xz of one; charts without codes are left out."""
    if corpus.is_file():
        with tempfile.TemporaryDirectory() as folder, tarfile.open(corpus) as archive:
            archive.extractall(folder, filter="data")
            return _read_folder(Path(folder))
    return _read_folder(corpus)


def _read_folder(folder: Path) -> list[Chart]:
    tables = sorted(folder.rglob("*D.tsv"))
    texts = {p.stem: p for p in sorted(folder.rglob("text_files_en/*.txt"))}
    if not tables or not texts:
        msg = f"{folder} holds no coded charts: expected text_files_en/*.txt beside a …D.tsv of chart id and code"
        raise FileNotFoundError(msg)
    codes: dict[str, dict[str, None]] = {}
    for table in tables:
        for line in table.read_text(encoding="utf-8").splitlines():
            chart, _, code = line.partition("\t")
            if code.strip():
                codes.setdefault(chart, {})[normalize(code.split("\t")[0])] = None
    return [Chart(id_, texts[id_].read_text(encoding="utf-8"), tuple(found)) for id_, found in sorted(codes.items()) if id_ in texts]
