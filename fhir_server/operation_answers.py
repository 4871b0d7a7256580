"""HTTP answers of the operations: each reads its part of the request, calls the door and renders what comes back.

Spec: https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fhir_server.answer import HttpAnswer, json_answer
from fhir_server.bundle import searchset
from fhir_server.calls import Call
from fhir_server.operations.parameters import as_query
from fhir_server.repository import Repository

Answering = Callable[[Repository, str, Call, str, str], HttpAnswer]
"""Door, base URL, request, type and id (empty where the address names none) to an answer."""


def everything(door: Repository, base: str, call: Call, type_: str, id_: str) -> HttpAnswer:
    """Answer GET or POST [type]/[id]/$everything."""
    query = "&".join(part for part in (call.query, as_query(call.body)) if part)
    page = door.everything(call.scope, type_, id_, query)
    return json_answer(searchset(page, base, "/".join(part for part in (type_, id_, "$everything") if part)))


ANSWERS: Final[Mapping[str, Answering]] = {
    "everything": everything,
}
"""By the name of the operation in the table."""
