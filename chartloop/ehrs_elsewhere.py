"""The EHRs whose CDS calls may be answered from this store: their rules of the settings, and how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cds_hooks.ehrs import EhrRule, Ehrs, ReadThere
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.egress import Sent, fetch
from chartloop.kernel.errors import Unavailable

if TYPE_CHECKING:
    from chartloop.app import Kernel
    from fhir_server.repository import Repository


def known_ehrs(kernel: Kernel, repository: Repository) -> Ehrs:
    """Read the rules of the settings."""
    settings = kernel.settings
    rules = [EhrRule(each.fhir_server, each.system, each.prefix) for each in settings.cds.ehrs]
    there = asking(allow_private=settings.egress.allow_private, timeout_s=settings.cds.ehr_timeout_s)
    return Ehrs(rules, repository, engine_subject(kernel.access.policies, "cds"), kernel.audit, there)


def asking(*, allow_private: bool, timeout_s: float) -> ReadThere:
    """Give what reads a resource of another server with an access token."""

    def read_there(address: str, token: str) -> Mapping[str, Any]:
        sent = Sent(None, {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"})
        answer = fetch(address, allow_private=allow_private, timeout_s=timeout_s, sent=sent)
        try:
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unavailable("Another server gave something that is no resource.") from None

    return read_there
