"""What one payer may take of us: time, places, calls a second, size; the settings of all, and of those that need others."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from chartloop.kernel.settings_sections import ClaimsSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the calls to one payer."""

    timeout_s: float = 10.0
    """A whole call: name, connection, headers and body together."""
    connect_s: float = 5.0
    calls_at_once: int = 4
    calls_per_s: float = 20.0
    failures: int = 5
    """So many failures in a row, and the payer is left alone."""
    rest_s: float = 10.0
    """The first rest; it doubles with every probe that fails."""
    rest_max_s: float = 300.0
    max_age_s: float = 86_400.0
    answer_max_bytes: int = 64_000_000


LimitsOf = Callable[[str], Limits]


def limits_of(settings: ClaimsSettings) -> LimitsOf:
    """Give the function that knows every payer's limits."""
    common = Limits(**{each.name: getattr(settings, f"payer_{each.name}") for each in fields(Limits)})
    own = {payer: replace(common, **said.model_dump(exclude_none=True)) for payer, said in settings.payers.items()}
    return lambda payer: own.get(payer, common)
