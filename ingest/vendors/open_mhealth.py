"""Open mHealth and IEEE 1752.1: data points and data series, a header that names the schema and a body of measures.

Spec: https://www.openmhealth.org/documentation/#/schema-docs/schema-library and https://opensource.ieee.org/omh/1752
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ingest.vendors import times
from ingest.vendors.json_document import below, decode
from ingest.vendors.measure import Context
from ingest.vendors.open_mhealth_body import readings
from ingest.vendors.open_mhealth_schema import SCHEMAS, Header
from ingest.vendors.reading import SELF_REPORTED, Item, Problem, Source, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODALITIES: Final = frozenset({"", "sensed", "self-reported"})


class _SchemaId(msgspec.Struct):
    namespace: str
    name: str
    version: str


class _Provenance(msgspec.Struct):
    source_name: str
    source_creation_date_time: str = ""
    source_data_point_id: str = ""
    modality: str = ""


class _Datasheet(msgspec.Struct):
    datasheet_reference: str


class _Header(msgspec.Struct):
    schema_id: _SchemaId
    id: str = ""
    uuid: str = ""
    creation_date_time: str = ""
    source_creation_date_time: str = ""
    acquisition_provenance: _Provenance | None = None
    modality: str = ""
    user_id: str = ""
    external_datasheets: list[_Datasheet] = []


class _Point(msgspec.Struct):
    header: _Header
    body: msgspec.Raw


class _Envelope(msgspec.Struct):
    """What Shimmer puts around data points."""

    shim: str
    body: list[msgspec.Raw]


def read(body: bytes, context: Context) -> Iterator[Item]:
    """Yield what a data point, a data series, a list of either or a Shimmer response holds, in its order."""
    start = body[:64].lstrip()[:1]
    if start == b"[":
        found = decode(body, list[msgspec.Raw], "")
        yield from (found,) if isinstance(found, Problem) else _each(found, "", context)
        return
    envelope = decode(body, _Envelope, "")
    if isinstance(envelope, _Envelope):
        yield from _each(envelope.body, "body", context)
        return
    yield from _point(body, "", context)


def _each(raws: list[msgspec.Raw], path: str, context: Context) -> Iterator[Item]:
    for number, raw in enumerate(raws):
        yield from _point(raw, f"{path}[{number}]", context)


def _point(raw: bytes | msgspec.Raw, path: str, context: Context) -> Iterator[Item]:
    point = decode(raw, _Point, path)
    if isinstance(point, Problem):
        yield point
        return
    header = _header(point.header, below(path, "header"), context)
    if isinstance(header, Problem):
        yield header
        return
    place = below(path, "body")
    series = bytes(point.body[:1] if isinstance(point.body, bytes) else bytes(point.body)[:1]) == b"["
    if header.schema not in SCHEMAS:
        yield from _unknown(point.body, header.schema) if series else (Unknown(header.schema),)
        return
    if not series:
        yield from readings(point.body, place, header, header.id, context)
        return
    elements = decode(point.body, list[msgspec.Raw], place)
    if isinstance(elements, Problem):
        yield elements
        return
    for number, element in enumerate(elements):
        yield from readings(element, f"{place}[{number}]", header, f"{header.id}[{number}]", context)


def _unknown(body: msgspec.Raw, schema: str) -> Iterator[Item]:
    elements = decode(body, list[msgspec.Raw], "")
    yield from (Unknown(schema) for _ in (elements if isinstance(elements, list) else ()))


def _header(header: _Header, path: str, context: Context) -> Header | Problem:
    """Read either standard's header: OMH has `id` and `creation_date_time`, IEEE 1752.1 `uuid` and `source_creation_date_time`."""
    if not (header.id or header.uuid):
        return Problem(below(path, "id"), "A data point needs its id (OMH) or uuid (IEEE 1752.1).", "required")
    named = "source_creation_date_time" if header.uuid and not header.creation_date_time else "creation_date_time"
    created = _time(getattr(header, named), below(path, named), context)
    if isinstance(created, Problem):
        return created
    provenance = header.acquisition_provenance or _Provenance("")
    where = below(path, "acquisition_provenance.source_creation_date_time")
    measured = _time(provenance.source_creation_date_time, where, context) if provenance.source_creation_date_time else None
    if isinstance(measured, Problem):
        return measured
    modality = header.modality or provenance.modality
    if modality not in _MODALITIES:
        return Problem(below(path, "modality" if header.modality else "acquisition_provenance.modality"), "The modality is sensed or self-reported.", "code-invalid")
    name = provenance.source_name or next((sheet.datasheet_reference for sheet in header.external_datasheets), "")
    return Header(
        schema=header.schema_id.name[:200],
        namespace=header.schema_id.namespace,
        version=header.schema_id.version,
        id=header.id or header.uuid,
        created=created.us,
        measured=measured,
        source=Source("open-mhealth", name[:200]),
        flags=SELF_REPORTED if modality == "self-reported" else 0,
    )


def _time(text: str, path: str, context: Context) -> times.Moment | Problem:
    if not text:
        return Problem(path, "This element is required.", "required")
    found = times.moment(text, context.zone)
    return Problem(path, found, "required" if found == times.NO_ZONE else "value") if isinstance(found, str) else found
