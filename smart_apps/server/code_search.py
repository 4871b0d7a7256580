"""Search of billable ICD-10-CM codes, for apps that hold a token: GET /terminology/icd10cm?q=."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from chartloop.kernel import auth
from chartloop.kernel.errors import Unauthenticated
from chartloop.kernel.http import WHO

if TYPE_CHECKING:
    from chartloop.kernel.db import Database

Search = Callable[[str, int], Iterable[tuple[str, str]]]
"""Finds (code, display) by number or words, best first, at most so many."""

PATH = "/terminology/icd10cm"
MAX_RESULTS = 20
MAX_QUERY = 100


def blueprint(database: Database, search: Search) -> Blueprint:
    """Give the search route."""
    routes = Blueprint("code_search", __name__)

    @routes.get(PATH)
    def find() -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            with database.read() as db:
                request.environ[WHO] = auth.authenticate(db, token if scheme.lower() == "bearer" else "")
        except Unauthenticated as error:
            answer = jsonify(error="invalid_token", error_description=str(error))
            answer.status_code = 401
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        found = search(request.args.get("q", "").strip()[:MAX_QUERY], MAX_RESULTS)
        return jsonify(codes=[{"code": code, "display": display} for code, display in found])

    return routes
