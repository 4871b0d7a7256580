"""The last step of an answer: its FHIR body in the format that was asked for, laid out and packed if the client wants that.

Every body comes here as the JSON it is stored or made as, after access was decided: what JSON does not show, no format shows.
Spec: https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

import msgspec

from fhir_server.http.answer import JSON_HEADER, HttpAnswer
from fhir_server.http.content_coding import WORTH, zipped
from fhir_server.media_types import JSON, Format, Kind
from fhir_server.xml.writing import json_to_xml


def rendered(answer: HttpAnswer, wanted: Format, *, pretty: bool, gzip: bool) -> HttpAnswer:
    """Return the answer as it leaves.

    Args:
        answer: With a body of FHIR JSON, or another, which stays as it is.
        wanted: The format of its body.
        pretty: Whether people will look at it.
        gzip: Whether the client takes it packed.
    """
    if not answer.body or JSON_HEADER not in answer.headers:
        return answer
    if wanted is not JSON or pretty:
        answer = _formatted(answer, wanted, pretty=pretty)
    if gzip and len(answer.body) >= WORTH:
        return answer._replace(body=zipped(answer.body), headers=(*answer.headers, ("Content-Encoding", "gzip")))
    return answer


def _formatted(answer: HttpAnswer, wanted: Format, *, pretty: bool) -> HttpAnswer:
    body = answer.body
    if wanted.kind is Kind.XML:
        body = json_to_xml(body, pretty=pretty)
    elif pretty:
        body = msgspec.json.format(body, indent=2)
    headers = tuple(("Content-Type", wanted.content_type) if header == JSON_HEADER else header for header in answer.headers)
    return answer._replace(body=body, headers=headers)
