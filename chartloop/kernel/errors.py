"""The closed set of ways in which a request can fail; a class's docstring is its default message.

The kernel knows categories, not protocols: fhir_server turns a category into a status and an OperationOutcome in one place.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, and where."""

    severity: str
    code: str
    text: str
    expression: str = ""


class ChartloopError(Exception):
    """Something went wrong inside Chartloop."""

    category: ClassVar[str] = "internal"
    code: ClassVar[str] = "exception"
    issues: tuple[Issue, ...]

    def __init__(self, text: str = "", *, issues: Iterable[Issue] = (), code: str = "", expression: str = "") -> None:
        """Take one sentence for a person, or the issues themselves."""
        given = tuple(issues)
        message = text or (given[0].text if given else (type(self).__doc__ or "").splitlines()[0])
        super().__init__(message)
        self.issues = given or (Issue("error", code or self.code, message, expression),)


class Invalid(ChartloopError):
    """The request cannot be read."""

    category = "invalid"
    code = "invalid"


class Unauthenticated(ChartloopError):
    """A valid access token is needed."""

    category = "unauthenticated"
    code = "login"


class Forbidden(ChartloopError):
    """This is not permitted."""

    category = "forbidden"
    code = "forbidden"


class NotFound(ChartloopError):
    """There is nothing here."""

    category = "not-found"
    code = "not-found"


class MethodNotAllowed(ChartloopError):
    """This cannot be done here."""

    category = "method-not-allowed"
    code = "not-supported"


class Conflict(ChartloopError):
    """This collides with what is stored."""

    category = "conflict"
    code = "conflict"


class Gone(ChartloopError):
    """This was deleted."""

    category = "gone"
    code = "deleted"


class PreconditionFailed(ChartloopError):
    """What is stored is not what the request expects."""

    category = "precondition-failed"
    code = "conflict"


class TooLarge(ChartloopError):
    """The request is too large."""

    category = "too-large"
    code = "too-long"


class UnsupportedMedia(ChartloopError):
    """This media type is not supported."""

    category = "unsupported-media"
    code = "not-supported"


class Unprocessable(ChartloopError):
    """The content breaks a rule."""

    category = "unprocessable"
    code = "processing"


class Throttled(ChartloopError):
    """There are too many requests; try again later."""

    category = "throttled"
    code = "throttled"


class Unavailable(ChartloopError):
    """This cannot be done right now; nothing was changed, try again later."""

    category = "unavailable"
    code = "transient"
