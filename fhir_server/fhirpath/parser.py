"""Read a FHIRPath expression into a tree.

Spec: http://hl7.org/fhirpath/N1/#operator-precedence
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final

from fhir_server.fhirpath.errors import Unreadable
from fhir_server.fhirpath.lexer import Token, tokens
from fhir_server.fhirpath.quantity import CALENDAR, Quantity
from fhir_server.fhirpath.temporal import Temporal, read_temporal
from fhir_server.fhirpath.tree import Binary, Call, Empty, Indexer, Literal, Name, Node, Special, Step, TypeName, TypeTest, Unary, Variable

MAX_DEPTH: Final = 120
MAX_NODES: Final = 2_000
_LEVELS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"implies"}),
    frozenset({"xor", "or"}),
    frozenset({"and"}),
    frozenset({"in", "contains"}),
    frozenset({"=", "~", "!=", "!~"}),
    frozenset({"<=", "<", ">", ">="}),
    frozenset({"|"}),
    frozenset({"is", "as"}),
    frozenset({"+", "-", "&"}),
    frozenset({"*", "/", "div", "mod"}),
)
"""Operators from the loosest to the tightest; all of them bind to the left."""
_LEVEL: Final = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_TYPE_LEVEL: Final = _LEVEL["is"]
_NOT_A_NAME: Final = frozenset({"div", "mod", "in", "and", "or", "xor", "implies", "true", "false"})
_DIGITS: Final = 40


@lru_cache(4096)
def parse(expression: str) -> Node:
    """Read an expression.

    Raises:
        Unreadable: It is not FHIRPath, or too long or too deep; with the position.
    """
    return _Reader(tokens(expression)).whole()


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._next = 0
        self._depth = 0
        self._nodes = 0

    def whole(self) -> Node:
        node = self._binary(0)
        if self._peek().kind != "end":
            raise Unreadable("the expression should end here", self._peek().at)
        return node

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _at_mark(self, *texts: str) -> bool:
        token = self._peek()
        return token.kind == "mark" and token.text in texts

    def _expect(self, mark: str) -> None:
        if not self._at_mark(mark):
            raise Unreadable(f"a {mark} is missing", self._peek().at)
        self._next += 1

    def _binary(self, loosest: int) -> Node:
        self._deeper(self._peek().at)
        left = self._unary()
        while (level := self._level()) >= loosest:
            token = self._take()
            self._count(token.at)
            if level == _TYPE_LEVEL:
                left = TypeTest(token.text, left, self._type_name(), token.at)
            else:
                left = Binary(token.text, left, self._binary(level + 1), token.at)
        self._depth -= 1
        return left

    def _level(self) -> int:
        token = self._peek()
        return _LEVEL.get(token.text, -1) if token.kind in ("mark", "name") else -1

    def _deeper(self, at: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable("the expression nests too deep", at)

    def _count(self, at: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise Unreadable("the expression has too many parts", at)

    def _unary(self) -> Node:
        if not self._at_mark("+", "-"):
            return self._path()
        token = self._take()
        self._deeper(token.at)
        node = Unary(token.text, self._unary(), token.at)
        self._depth -= 1
        return node

    def _path(self) -> Node:
        node = self._term()
        while self._at_mark(".", "["):
            token = self._take()
            self._count(token.at)
            if token.text == ".":
                node = Step(node, self._invocation(), token.at)
            else:
                node = Indexer(node, self._binary(0), token.at)
                self._expect("]")
        return node

    def _term(self) -> Node:
        token = self._peek()
        self._count(token.at)
        if token.kind in ("name", "delimited", "special") and not (token.kind == "name" and token.text in ("true", "false")):
            return self._invocation()
        self._next += 1
        if token.kind == "mark" and token.text == "(":
            node = self._binary(0)
            self._expect(")")
            return node
        if token.kind == "mark" and token.text == "{":
            self._expect("}")
            return Empty(token.at)
        return Variable(token.text, token.at) if token.kind == "variable" else Literal(self._literal(token), token.at)

    def _literal(self, token: Token) -> object:
        if token.kind == "string":
            return token.text
        if token.kind == "name" and token.text in ("true", "false"):
            return token.text == "true"
        if token.kind == "number":
            return self._number(token)
        if token.kind in ("date", "datetime", "time"):
            return _temporal(token)
        raise Unreadable("something is missing", token.at)

    def _number(self, token: Token) -> object:
        if len(token.text) > _DIGITS:
            raise Unreadable("the number has too many digits", token.at)
        number: int | Decimal = Decimal(token.text) if "." in token.text else int(token.text)
        unit = self._peek()
        if unit.kind == "string" or (unit.kind == "name" and unit.text in CALENDAR):
            self._next += 1
            return Quantity(Decimal(number), unit.text, calendar=unit.kind == "name")
        return number

    def _invocation(self) -> Name | Call | Special:
        token = self._take()
        if token.kind == "special" and token.text in ("$this", "$index", "$total"):
            return Special(token.text[1:], token.at)
        if token.kind not in ("name", "delimited") or (token.kind == "name" and token.text in _NOT_A_NAME):
            raise Unreadable("a name is missing", token.at)
        if token.kind == "name" and self._at_mark("("):
            self._next += 1
            return Call(token.text, self._arguments(), token.at)
        return Name(token.text, token.at)

    def _arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._at_mark(")"):
            if found:
                self._expect(",")
            found.append(self._binary(0))
        self._expect(")")
        return tuple(found)

    def _type_name(self) -> TypeName:
        names = [self._type_part()]
        if self._at_mark("."):
            self._next += 1
            names.append(self._type_part())
        return TypeName(*(names if len(names) == 2 else ("", names[0])))

    def _type_part(self) -> str:
        token = self._take()
        if token.kind not in ("name", "delimited"):
            raise Unreadable("a type is missing", token.at)
        return token.text


def _temporal(token: Token) -> Temporal:
    found = read_temporal(token.text[1:].lstrip("T"), token.kind)
    if found is None:
        raise Unreadable("there is no such date or time", token.at)
    return found
