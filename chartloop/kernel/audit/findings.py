"""What a check of the audit log has found so far."""

_MOST = 50


class Findings:
    """Problems, and the first record and the first tree head that have one."""

    def __init__(self) -> None:
        """Start with nothing found."""
        self.first_bad: int | None = None
        self.bad_head: int | None = None
        self._problems: list[str] = []
        self._count = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self._count == 0

    @property
    def problems(self) -> tuple[str, ...]:
        """Sentences; when there are very many, the rest is counted."""
        more = self._count - len(self._problems)
        return (*self._problems, *([f"{more} more problems."] if more else []))

    def record(self, seq: int, text: str) -> None:
        """A sealed record is bad."""
        self.first_bad = seq if self.first_bad is None else min(self.first_bad, seq)
        self.note(f"Record {seq}: {text}.")

    def head(self, size: int, text: str) -> None:
        """A tree head is bad."""
        self.bad_head = size if self.bad_head is None else min(self.bad_head, size)
        self.note(f"Tree head {size}: {text}.")

    def note(self, sentence: str) -> None:
        """Something else is bad."""
        self._count += 1
        if len(self._problems) < _MOST:
            self._problems.append(sentence)
