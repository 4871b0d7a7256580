"""ValueSet resources of this store, as far as a reader sees them.

Spec: https://hl7.org/fhir/R4/valueset.html
"""

from __future__ import annotations

from typing import Any

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.rows import by_rids
from fhir_server.search.params import for_type
from fhir_server.search.planner import plan
from fhir_server.search.tree import ID, Criterion, Query
from fhir_server.search.values import Text, Token, reference
from fhir_server.store import Store
from fhir_server.visible import visible

_TYPE = "ValueSet"


def stored_value_set(session: Session, store: Store, scope: Scope, address: str) -> dict[str, Any] | None:
    """Find the value set at an address here (ValueSet/1), or of a canonical address; None where this reader sees none.

    Raises:
        Invalid: Several have the same canonical address.
    """
    url = for_type(_TYPE)["url"]
    here = reference(address, store.base)
    literal = here is not None and here.type == _TYPE
    criterion = Criterion(ID, (Token(None, here.id),)) if here is not None and literal else Criterion(url, (Text(address),))
    if not store.access.permits(scope, _TYPE) or not (literal or store.access.searchable(scope, _TYPE, url.paths)):
        return None
    sql, params = plan(session, Query(_TYPE, criteria=[criterion]), store.access.row_filter(scope, _TYPE), whole=True).everything(2)
    rids = [int(row[1]) for row in session.all(sql, params)]
    if len(rids) > 1:
        raise Invalid(f"Several value sets have the address {address[:200]}; say which version.", code="multiple-matches")
    rows = by_rids(session, rids)
    if not rows:
        return None
    seen = visible(store, scope, rows[rids[0]])
    return None if seen.redacted else seen.json()
