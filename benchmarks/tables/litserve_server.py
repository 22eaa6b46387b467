"""The table model behind LitServe, with the batching of its documentation: `PORT MODEL BATCH TIMEOUT_S`.

It runs the same session as a worker, so that only the serving differs.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from benchmarks.tables.model import COLUMNS
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.model import find_model


class TableApi(litserve.LitAPI):  # type: ignore[misc] # mypy does not look into LitServe
    """Its hooks, in the order in which they are called; `setup` is in the process that computes."""

    model = Path()

    def setup(self, device: str) -> None:
        self.session = ModelSession.load(find_model(self.model))

    def decode_request(self, request: Mapping[str, float]) -> list[float]:
        return [request[name] for name in COLUMNS]

    def batch(self, inputs: Sequence[list[float]]) -> Any:
        return np.array(inputs, np.float32)

    def predict(self, x: Any) -> Any:
        table = np.atleast_2d(np.asarray(x, np.float32))
        columns = {name: table[:, index : index + 1] for index, name in enumerate(COLUMNS)}
        return self.session.run("serving_default", columns)["p"]

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"success": True, "outputs": {"p": np.ravel(output).tolist()}}


def main(port: int, model: Path, batch: int, timeout_s: float) -> None:
    """Serve until the end."""
    api = TableApi(max_batch_size=batch, batch_timeout=timeout_s)
    api.model = model  # of the object: it is sent to another process
    litserve.LitServer(api, accelerator="cpu").run(host="127.0.0.1", port=port, generate_client_file=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
