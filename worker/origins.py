"""A worker's answers, for scripts of web pages: what they may read, and that they may ask."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, request

from tfleet.contract.cors import Cors, asking_origin
from tfleet.contract.names import DRAIN_PATH
from tfleet.worker.problems import ProblemError

_ORIGIN: Final = "Origin"


def allow_origins(app: Flask, cors: Cors) -> None:
    """Have all answers say which origins may read them, and answer preflights. But none to POST /drain: no
    page has anything to do with that.
    """

    @app.before_request
    def preflight() -> Response | None:
        origin = asking_origin(request.method, request.headers.get)
        if origin is None or request.path == DRAIN_PATH:
            return None
        if refused := cors.refusal(origin):
            raise ProblemError(refused)
        return Response(status=204, headers=dict(cors.preflight(origin)))

    @app.after_request
    def say(response: Response) -> Response:
        if request.path != DRAIN_PATH:
            response.headers.update(cors.headers(request.headers.get(_ORIGIN)))
        return response
