"""What everybody may read without a token (the CapabilityStatement), in the format that was asked for.

Nobody is known who could be told to slow down, so each form of an answer is made once.
Spec: https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fhir_server.http.answer import HttpAnswer, error_answer
from fhir_server.http.content_coding import takes_gzip
from fhir_server.http.negotiation import answer_format, wants_pretty
from fhir_server.http.outcome import NotAcceptable
from fhir_server.http.rendering import rendered
from fhir_server.media_types import Format


def public_answer(answer: HttpAnswer, environ: Mapping[str, Any]) -> HttpAnswer:
    """Return an answer that is the same for all as this request wants it."""
    wanted = answer_format(environ)
    if wanted is None:
        return error_answer(NotAcceptable())
    pretty = wants_pretty(str(environ.get("QUERY_STRING", "")))
    return _made(answer, wanted, pretty=pretty, gzip=takes_gzip(environ))


@lru_cache(maxsize=32)
def _made(answer: HttpAnswer, wanted: Format, *, pretty: bool, gzip: bool) -> HttpAnswer:
    return rendered(answer, wanted, pretty=pretty, gzip=gzip)
