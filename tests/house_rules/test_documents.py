"""What the documents name exists, and every page is in the index of its folder."""

from __future__ import annotations

import re

from tests.house_rules.sources import ROOT

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
ELSEWHERE = re.compile(r"[a-z]+:")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_every_link_of_the_documents_leads_somewhere():
    broken = [
        f"{document.relative_to(ROOT)}: {link}"
        for document in DOCUMENTS
        for link in LINK.findall(document.read_text(encoding="utf-8"))
        if not ELSEWHERE.match(link) and not (document.parent / link).exists()
    ]
    assert broken == []


def test_every_page_is_in_the_index_of_its_folder():
    indexes = sorted((ROOT / "docs").glob("*/README.md"))
    forgotten = [page for index in indexes for page in index.parent.glob("*.*") if page != index and page.name not in LINK.findall(index.read_text(encoding="utf-8"))]
    assert [page.relative_to(ROOT).as_posix() for page in forgotten] == []
