"""The events of a stream as an AsyncAPI document, for those who read the topic beside Chartloop.

Spec: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Mapping
from typing import Any, Final

from chartloop.kernel.events import EVENT_TYPES
from chartloop.kernel.streams.envelope import CONTENT_TYPE, DATA_TYPE, TYPE_PREFIX

_MARK: Final = "^[0-9a-f]{16}-[0-9a-f]{16}$"
_ABOUT: Final = (
    "Something happened in the store of a hospital. Events are thin: they name a resource and its version, and hold no patient data; whoever wants more"
    " reads the FHIR API under rights of its own. They come at least once, in order for each partitionkey. `id` tells a repetition."
)
_ATTRIBUTES: Final[Mapping[str, Mapping[str, Any]]] = {
    "specversion": {"const": "1.0", "description": "Version of CloudEvents."},
    "id": {"type": "string", "minLength": 1, "description": "The event's own; a repetition has the same."},
    "source": {"type": "string", "format": "uri-reference", "description": "Base URL of the server in whose store it happened."},
    "type": {"enum": [TYPE_PREFIX + name for name in sorted(EVENT_TYPES)], "description": "What happened."},
    "subject": {"type": "string", "minLength": 1, "description": "What it happened to, such as Observation/123 or interchange/7."},
    "time": {"type": "string", "format": "date-time", "description": "When it was recorded, in the transaction of the change."},
    "datacontenttype": {"const": DATA_TYPE, "description": "Format of `data`."},
    "partitionkey": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Extension: a keyed hash of the patient or payer whose events keep their order. Also the key of the record."},
    "sequence": {"type": "string", "pattern": _MARK, "description": "Extension: place in the order of all events of the store; texts sort as places do."},
    "settled": {"type": "string", "pattern": _MARK, "description": "Extension: everything up to this place was acknowledged by the broker before this event was sent."},
    "trace": {"type": "string", "description": "Extension: identifier of the request that made the change."},
}
_DEAD_ATTRIBUTES: Final[Mapping[str, Mapping[str, Any]]] = {
    "consumer": {"type": "string", "minLength": 1, "description": "Extension: who gave the event up."},
    "deadletter": {"type": "string", "minLength": 1, "description": "Extension: the dead letter's id, for `chartloop events dlq`."},
    "attempts": {"type": "integer", "minimum": 0, "description": "Extension: how often it was tried."},
}
_DATA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["version"],
    "additionalProperties": False,
    "properties": {"version": {"type": "integer", "minimum": 0, "description": "Version of the subject, 0 where it has none."}},
}


def document(topic: str = "chartloop-events") -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Chartloop events", "version": "1.0.0", "description": _ABOUT, "license": {"name": "Apache-2.0"}},
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "events": _channel(topic, "bus.topic on Kafka, the stream of bus.url on Kinesis.", [*sorted(EVENT_TYPES)]),
            "dead-letters": _channel(f"{topic}-dead-letters", "Events that a consumer gave up; why stays in the store.", ["DeadLetter"]),
        },
        "operations": {
            "tell": {"action": "send", "channel": {"$ref": "#/channels/events"}, "summary": "The relay publishes what the outbox holds."},
            "tellDead": {"action": "send", "channel": {"$ref": "#/channels/dead-letters"}, "summary": "The relay tells what was given up."},
        },
        "components": {"messages": _messages(), "schemas": {"CloudEvent": _schema(), "DeadLetter": _dead_schema(), "Data": _DATA}},
    }


def _channel(address: str, description: str, names: list[str]) -> dict[str, Any]:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    return {"address": address, "description": description, "messages": messages}


def _messages() -> dict[str, Any]:
    told = {name: _message(name, meaning, _typed(name)) for name, meaning in sorted(EVENT_TYPES.items())}
    return {**told, "DeadLetter": _message("DeadLetter", "An event, as it was, that a consumer gave up.", {"$ref": "#/components/schemas/DeadLetter"})}


def _message(name: str, meaning: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": TYPE_PREFIX + name,
        "title": name,
        "summary": meaning,
        "contentType": CONTENT_TYPE,
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": "The partitionkey."}, "bindingVersion": "0.5.0"}},
    }


def _typed(name: str) -> dict[str, Any]:
    return {"allOf": [{"$ref": "#/components/schemas/CloudEvent"}, {"type": "object", "properties": {"type": {"const": TYPE_PREFIX + name}}}]}


def _schema() -> dict[str, Any]:
    required = [name for name in _ATTRIBUTES if name != "trace"]
    properties = {**_ATTRIBUTES, "data": {"$ref": "#/components/schemas/Data"}}
    return {"type": "object", "required": [*required, "data"], "additionalProperties": False, "properties": properties}


def _dead_schema() -> dict[str, Any]:
    whole = _schema()
    return {**whole, "required": [*whole["required"], *_DEAD_ATTRIBUTES], "properties": {**whole["properties"], **_DEAD_ATTRIBUTES}}
