"""The label of a model: for people as a page without a script, for programs as JSON."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tests.integration.cds_hooks.conftest import LABEL
from tests.unit.cds_hooks.samples import LIGHTGBM, PREVENT

PATH = f"/cds-services/models/{PREVENT}"


class Outline(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.headings, self.terms, self.marked, self._open = [], [], [], 0, ""
        self.attributes = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        self._open = tag
        self.marked += dict(attrs).get("class") == "unknown"

    def handle_data(self, data):
        if self._open in ("h1", "h2") and data.strip():
            self.headings.append(data.strip())
        if self._open == "dt" and data.strip():
            self.terms.append(data.strip())

    def handle_endtag(self, tag):
        self._open = "dt" if tag == "span" and self._open == "span" else ""


@pytest.mark.conformance("Card", "the model label shows 31 HTI-1 attributes as a page and as data; what is unknown is shown as unknown")
def test_the_label_is_a_page_with_31_attributes(world):
    answer = world.open("GET", PATH, Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (answer.status_code, answer.mimetype, answer.headers["Vary"]) == (200, "text/html", "Accept")
    policy = answer.headers.get_all("Content-Security-Policy")
    assert policy == ["default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"]
    outline = Outline(answer.get_data(as_text=True))
    assert ("html", {"lang": "en"}) in outline.attributes
    assert (outline.tags.count("main"), outline.tags.count("h1"), outline.tags.count("dt"), outline.tags.count("dd")) == (1, 1, 31, 31)
    assert "script" not in outline.tags
    assert not any(name in attributes for _, attributes in outline.attributes for name in ("style", "onclick"))
    assert outline.headings[:3] == ["PREVENT <b>stroke</b>", "Details and output", "Section 0"]
    assert outline.terms[:2] == ["Developer name and contact", "Funding source"]
    assert outline.marked == 2
    assert "29 of 31 are known" in " ".join(answer.get_data(as_text=True).split())
    with world.open("GET", "/cds-services/static/model.css") as style:
        assert style.mimetype == "text/css"


@pytest.mark.parametrize(("path", "accept"), [(PATH, "application/json"), (f"{PATH}?format=json", "text/html")])
def test_the_label_is_data_for_who_asks_for_json(world, path, accept):
    answer = world.open("GET", path, Accept=accept)
    assert (answer.mimetype, answer.get_json()) == ("application/json", LABEL)


@pytest.mark.parametrize("model", [LIGHTGBM, "nonsense", "..%2f..%2fetc%2fpasswd", "%00"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_model_without_a_label_is_404(world, model, accept):
    answer = world.open("GET", f"/cds-services/models/{model}", Accept=accept)
    assert answer.status_code == 404
    assert b"passwd" not in answer.data
