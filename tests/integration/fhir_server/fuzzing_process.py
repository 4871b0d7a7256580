"""Coverage-guided fuzzing of one parser with atheris, in a process of its own: anything but an answer or a refusal ends it.

python -m tests.integration.fhir_server.fuzzing_process TARGET -runs=N [libFuzzer's options] [directory of a corpus]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import atheris

with atheris.instrument_imports(include=["fhir_server", "ingest.hl7v2"], enable_loader_override=False):
    from fhir_server.entry_request import entry_request
    from fhir_server.history_query import parse_history
    from fhir_server.http.content_coding import takes_gzip
    from fhir_server.http.negotiation import answer_format, bundle_preferences, if_none_exist, patch_type, preferences, require_body_kind
    from fhir_server.media_types import body_kind, media_type, wanted_format
    from fhir_server.operations.everything_query import parse_everything
    from fhir_server.operations.parameters import as_query, given_meta, trial
    from fhir_server.patching.application import patched_body
    from fhir_server.patching.documents import FHIRPATH_PATCH, JSON_PATCH, read_patch
    from fhir_server.preconditions import create_only_of, if_match_of
    from fhir_server.references import rewriter
    from fhir_server.search.filter_syntax import read_filter_text
    from fhir_server.search.near import near
    from fhir_server.search.params import for_type
    from fhir_server.search.query import parse
    from fhir_server.validation.bundles import BundleEntry, split_bundle
    from fhir_server.validation.parsing import compact
    from fhir_server.validation.resources import validate
    from fhir_server.xml.reading import xml_to_json
    from fhir_server.xml.writing import json_to_xml
    from ingest.hl7v2.parser import parse as parse_hl7

from chartloop.kernel.errors import ChartloopError

BODY = b'{"resourceType":"Patient","id":"p","name":[{"family":"Ann","given":["A","B"]}],"active":true}'


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _resource(data: bytes) -> None:
    validate(data, type_="Patient")


def _parameters(data: bytes) -> None:
    for read in (as_query, given_meta, lambda body: trial(body, "", of_instance=False)):
        try:
            read(data)
        except ChartloopError:
            continue


def _search(data: bytes) -> None:
    parse("Observation", _text(data), for_type, base="http://x/fhir", lenient=False)


def _xml(data: bytes) -> None:
    """What is read is written again as XML that is read alike."""
    read = xml_to_json(data)
    if xml_to_json(json_to_xml(read)) != read:
        raise AssertionError("read otherwise the second time")


def _filter(data: bytes) -> None:
    text = _text(data)
    parse("Observation", f"_filter={quote(text)}", for_type, base="http://x/fhir", lenient=False)
    read_filter_text(text)


def _near(data: bytes) -> None:
    text = _text(data)
    near(text.split("|"))
    parse("Location", f"near={quote(text)}", for_type, base="http://x/fhir", lenient=False)


def _headers(data: bytes) -> None:
    """Accept, Content-Type, Prefer, _format and their kin, all with the same text."""
    text = _text(data)
    names = ("HTTP_ACCEPT", "CONTENT_TYPE", "HTTP_PREFER", "HTTP_ACCEPT_ENCODING", "HTTP_IF_NONE_EXIST", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
    environ = {**dict.fromkeys(names, text), "PATH_INFO": "/fhir/Patient/_search", "QUERY_STRING": f"_format={quote(text)}"}
    media_type(text), body_kind(text), preferences(environ), bundle_preferences(environ), answer_format(environ, text), takes_gzip(environ)
    found = wanted_format(text)
    if found is not None and "\n" in found.content_type:
        raise AssertionError("a header within a header")
    for read in (require_body_kind, patch_type, if_none_exist):
        try:
            read(environ)
        except ChartloopError:
            continue


def _queries(data: bytes) -> None:
    for read in (parse_history, lambda query: parse_everything("Patient", query), if_match_of, create_only_of):
        try:
            read(_text(data))
        except ChartloopError:
            continue


def _json_patch(data: bytes) -> None:
    patched_body(BODY, read_patch(data, JSON_PATCH))


def _fhirpath_patch(data: bytes) -> None:
    """The path of a FHIRPath patch; the Parameters around it are another parser's."""
    import json

    operation = {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": _text(data) or "x"}]}
    patched_body(BODY, read_patch(json.dumps({"resourceType": "Parameters", "parameter": [operation]}).encode(), FHIRPATH_PATCH))


def _bundle(data: bytes) -> None:
    for entry in split_bundle(data).entries:
        entry_request(entry, "http://x/fhir")


def _entry(data: bytes) -> None:
    method, _, url = _text(data).partition(" ")
    entry_request(BundleEntry("", b"{}", method, url, "", "", "", ""), "http://x/fhir")


def _links(data: bytes) -> None:
    """Rewriting reads the resource of an entry before it is validated."""
    bundle = b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":' + data + b',"request":{"method":"POST","url":"Patient"}}]}'
    for entry in split_bundle(bundle).entries:
        rewriter({"urn:uuid:1": "Patient/1"})(compact(entry.resource))


def _hl7(data: bytes) -> None:
    parse_hl7(data)


TARGETS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "resource": (_resource, (BODY, b'{"resourceType":"Patient","extension":[{"url":"u","valueDecimal":1e5}]}')),
    "parameters": (_parameters, (b'{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"code":"t"}]}}]}',)),
    "search": (_search, (b"code=http://loinc.org|1-8,2&date=ge2026-01-01&subject:Patient.name=x&_sort=-date", b"_has:Provenance:target:agent=x&value-quantity=gt5||kg")),
    "xml": (_xml, (b'<Patient xmlns="http://hl7.org/fhir"><id value="p"/><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">a<br/></div></text><name id="n"><family value="A"><extension url="u"><valueDecimal value="1.50"/></extension></family></name></Patient>',)),
    "filter": (_filter, (b'subject:Patient.name co "x" and not (date ge 2026 or code in http://x/vs)', b"_has:Provenance:target:agent re Practitioner/1")),
    "near": (_near, (b"42.36|-71.06|4.5|[mi_us]", b"-90|180|0,90|-180|1e3|m")),
    "headers": (_headers, (b"application/fhir+xml;q=0.5;fhirVersion=4.0, */*;q=0.1", b"return=minimal; handling=lenient, respond-async", b'W/"1", "2"', b"gzip;q=0, br")),
    "queries": (_queries, (b"_at=2026-01-01T00:00:00Z&_count=5", b'W/"1", W/"2"', b"_type=Observation&start=2026")),
    "json-patch": (_json_patch, (b'[{"op":"add","path":"/name/0/given/-","value":"C"},{"op":"copy","from":"/name","path":"/contact"}]',)),
    "fhirpath-patch": (_fhirpath_patch, (b"Patient.name.where(family = 'Ann').given[0]", b"Patient.name.first()")),
    "bundle": (_bundle, (b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/1/_history?_at=2026"}}]}',)),
    "entry": (_entry, (b"GET Patient/1/_history/2", b"POST Patient/1/$everything?x=1", b"DELETE Patient?x=1", b"GET Patient/1/Observation?code=x", b"GET ?_type=Patient")),
    "links": (_links, (b'{"reference":"urn:uuid:1","text":{"div":"<a href=\\"urn:uuid:1\\">x</a>"}}',)),
    "hl7": (_hl7, (b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1||1^^^H^MR||Ann^B\r",)),
}


def main() -> None:
    target, seeds = TARGETS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        try:
            target(data)
        except ChartloopError:
            return

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            one(seed)
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
