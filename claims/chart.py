"""How the claims engine reads and writes resources: through the one door, under its own subject, amounts exact."""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import Tx
from chartloop.kernel.errors import Gone, NotFound
from fhir_server.repository import Also, Repository, Stored


class Entry(NamedTuple):
    """A resource and its version."""

    resource: dict[str, Any]
    version: int

    @property
    def reference(self) -> str:
        """Return Type/id."""
        return f"{self.resource['resourceType']}/{self.resource['id']}"


class Chart:
    """The store as the claims engine sees it."""

    def __init__(self, repository: Repository, subject: Subject) -> None:
        """Take the door and who goes through it."""
        self._repository = repository
        self._subject = subject

    @property
    def subject(self) -> Subject:
        """Who reads and writes."""
        return self._subject

    def get(self, reference: str) -> Entry | None:
        """Return what a reference points to, nothing where it is not there for us."""
        parts = reference.split("/")
        if len(parts) < 2 or not parts[-1]:
            return None
        try:
            return _entry(self._repository.read(self._scope("read"), parts[0], parts[1]))
        except (NotFound, Gone):
            return None

    def find(self, type_: str, **parameters: str) -> list[Entry]:
        """Return every match of a search; parameter names with a dash are written with an underscore."""
        query = "&".join(f"{name.replace('_', '-').lstrip('-')}={quote(value, safe=':/|,')}" for name, value in parameters.items())
        return [_entry(found) for found in self._repository.all(self._scope("search"), type_, query)]

    def first(self, type_: str, **parameters: str) -> Entry | None:
        """Return one match."""
        return next(iter(self.find(type_, **parameters)), None)

    def create(self, resource: Mapping[str, Any], if_none_exist: str = "", also: Also | None = None) -> bool:
        """Store a new resource; say whether it is new."""
        return self._repository.create(self._scope("create"), resource, if_none_exist=if_none_exist, also=also).created

    def update(self, entry: Entry, resource: Mapping[str, Any], also: Also | None = None) -> None:
        """Store the next version of what was read; Conflict or PreconditionFailed where somebody was faster."""
        type_, id_ = entry.reference.split("/")
        self._repository.update(self._scope("update"), type_, id_, resource, if_match=entry.version, also=also)

    def transaction(self, entries: Sequence[Mapping[str, Any]], also: Also | None = None) -> None:
        """Write everything or nothing."""
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
        self._repository.transaction(self._scope("transaction"), bundle, also=also)

    def disclose(self, tx: Tx, recipient: Subject, references: Iterable[str], version: str) -> None:
        """Record that resources are told to somebody outside; Withheld where the policies do not let them go."""
        self._repository.disclose(tx, self._scope("disclose"), recipient, references, version)

    def may_tell(self, tx: Tx, recipient: Subject, references: Iterable[str]) -> None:
        """See that resources may be told to somebody outside, and record nothing; Withheld where the policies do not let them go."""
        self._repository.may_disclose(tx, self._scope("disclose"), recipient, references)

    def withheld(self, recipient: Subject, references: Iterable[str]) -> None:
        """Record that they were not."""
        self._repository.withheld(self._scope("disclose"), recipient, references)

    def _scope(self, action: str) -> Scope:
        return Scope(self._subject, action)


def put(entry: Entry, resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the transaction entry that updates what was read."""
    request = {"method": "PUT", "url": entry.reference, "ifMatch": f'W/"{entry.version}"'}
    return {"fullUrl": f"urn:chartloop:{entry.reference}", "resource": resource, "request": request}


def post(resource: Mapping[str, Any], full_url: str, if_none_exist: str = "") -> dict[str, Any]:
    """Return the transaction entry that creates a resource."""
    request = {"method": "POST", "url": str(resource["resourceType"])}
    if if_none_exist:
        request["ifNoneExist"] = if_none_exist
    return {"fullUrl": full_url, "resource": resource, "request": request}


def by_identifier(system: str, value: str) -> str:
    """Return the search that finds a resource by identifier."""
    return f"identifier={quote(system, safe=':/')}%7C{quote(value, safe='')}"


def _entry(stored: Stored) -> Entry:
    resource = json.loads(stored.body, parse_float=Decimal)
    return Entry(resource, stored.version)


