"""The idea as it was first written: Flask's own server, one session, one image at a time.

Image and model are read by tfleet's own code, so that only the serving differs; as each request runs the
session by itself, TensorFlow may start the operations of several at once.
"""

from __future__ import annotations

import sys

from flask import Flask, Response, jsonify, request

from benchmarks.worker.session import concurrent_session
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model import find_model

app = Flask(__name__)
classifier = Classifier.load(find_model(None), session_factory=concurrent_session)
limits = ImageLimits()


@app.post("/")
def classify() -> Response:
    prepared = classifier.prepare(request.files["data"].read(), limits)
    return jsonify(classifier.top(classifier.run([prepared])[0], 5))


if __name__ == "__main__":
    classifier.warm_up()
    app.run(port=int(sys.argv[1]), threaded=True)
