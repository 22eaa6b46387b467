"""The model behind LitServe, as its documentation serves an image classifier in batches.

Image and model are read by tfleet's own code, so that only the serving differs.
"""

import sys
from collections.abc import Sequence
from typing import Any

import litserve
import numpy.typing as npt
from fastapi import Request

from benchmarks.worker.peers.litserve_settings import BATCH_TIMEOUT_S, MAX_BATCH_SIZE
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference import Classifier
from tfleet.worker.model import find_model


class Api(litserve.LitAPI):  # type: ignore[misc] # mypy does not look into LitServe
    """Its hooks, in the order in which they are called; `setup` is in the process that computes."""

    def setup(self, device: str) -> None:
        self.limits = ImageLimits()
        self.classifier = Classifier.load(find_model(None))
        self.classifier.warm_up(range(1, MAX_BATCH_SIZE + 1))

    def decode_request(self, request: Request) -> Any:
        # What comes is the form: LitServe wants the type of the request, to tell FastAPI.
        return self.classifier.prepare(request["data"].file.read(), self.limits)

    def batch(self, inputs: Sequence[Any]) -> Sequence[Any]:
        return inputs  # the classifier stacks them by itself

    def predict(self, x: Sequence[Any]) -> npt.NDArray[Any]:
        return self.classifier.run(x)

    def encode_response(self, output: npt.NDArray[Any]) -> tuple[tuple[str, float], ...]:
        return self.classifier.top(output, 5)


def main(port: int) -> None:
    """Serve until the end."""
    api = Api(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
    litserve.LitServer(api, accelerator="cpu").run(host="127.0.0.1", port=port, generate_client_file=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
