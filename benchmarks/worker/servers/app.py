"""The application that all servers run: views that read a body, at once or slowly, and one for health."""

from __future__ import annotations

import time

from flask import Flask, Response, jsonify, request

app = Flask(__name__, static_folder=None)
_ANSWER = [["tiger cat", 0.385], ["Egyptian cat", 0.365], ["tabby", 0.11], ["lynx", 0.01], ["carton", 0.001]]


@app.post("/")
def read() -> Response:
    """Read the body and answer as a worker does, without inference."""
    request.get_data(cache=False)
    return jsonify(_ANSWER)


@app.post("/predict")
def slow() -> Response:
    """Takes `?s=` seconds."""
    request.get_data(cache=False)
    time.sleep(float(request.args["s"]))
    return jsonify(_ANSWER)


@app.get("/healthz")
def healthz() -> Response:
    """Answers at once."""
    return Response("ok\n", mimetype="text/plain")
