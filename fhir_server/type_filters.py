"""The row filters of many types at once, for what is not about one type: histories, compartments, summaries of meta."""

from __future__ import annotations

from collections.abc import Iterable

from chartloop.kernel import clock
from chartloop.kernel.access.rows import NOTHING
from chartloop.kernel.access.scope import Scope
from fhir_server.search.conditions import Condition
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_IDS


def readable(store: Store, scope: Scope, types: Iterable[str], *, version_labels: bool = False) -> Condition | None:
    """Write which rows of some types this reader may see, over aliases r and v; None where there can be none.

    Types that are filtered alike share one condition.
    """
    alike: dict[tuple[str, tuple[object, ...]], list[int]] = {}
    now = clock.now_us()  # one moment for all, or no two would be alike
    for type_ in types:
        if store.access.permits(scope, type_):
            row_filter = store.access.row_filter(scope, type_, version_labels=version_labels, now=now)
            if row_filter != NOTHING:
                alike.setdefault((row_filter.sql, row_filter.params), []).append(TYPE_IDS[type_])
    if not alike:
        return None
    parts: list[str] = []
    params: list[object] = []
    for (sql, given), numbers in alike.items():
        condition = sql.replace("{r}", "r").replace("{v}", "v")
        parts.append(f"(r.type_id IN ({', '.join(map(str, numbers))}) AND ({condition}))")
        params += given
    return Condition(f"({' OR '.join(parts)})", tuple(params))
