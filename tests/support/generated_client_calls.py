"""Makes a client from a worker's OpenAPI document with openapi-python-client, and asks the worker with it.

    python -I generated_client_calls.py URL FOLDER

It runs in an environment of its own and prints what the client has got, as JSON. The worker serves the model
`wine` of tests/support/fake_model.py.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(url: str, folder: Path) -> dict[str, Any]:
    """What the calls have led to."""
    settings = folder / "settings.yaml"
    settings.write_text("post_hooks: []\n")  # which would format the code
    made = subprocess.run(
        [
            *(sys.executable, "-I", "-m", "openapi_python_client", "generate", "--meta", "none"),
            *(
                "--url",
                f"{url}/openapi.json",
                "--config",
                str(settings),
                "--output-path",
                str(folder / "made"),
            ),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    sys.path.insert(0, str(folder))
    client = importlib.import_module("made").Client(base_url=url)
    models = importlib.import_module("made.models")

    def ask(endpoint: str, **sent: Any) -> Any:
        answer = importlib.import_module(f"made.api.wine.{endpoint}").sync(client=client, **sent)
        return [type(answer).__name__, answer.to_dict()]

    row = models.Wine1ServingDefaultRow(g1=1.0, g2=5.0)
    rows = [row, models.Wine1ServingDefaultRow(g1=2.0, g2=0.0)]
    tensors = [
        {"name": name, "datatype": "FP32", "shape": [1], "data": [value]}
        for name, value in (("G1", 1.0), ("G2", 5.0))
    ]
    return {
        "left_out": [line for line in made.stdout.splitlines() if "will not be generated" in line],
        "row": ask("post_models_wine_predict", body=row),
        "rows": ask("post_models_wine_predict", body=rows),
        "query": ask("get_predict", g1=1.0, g2=5.0),
        "instances": ask(
            "post_v1_models_wine_predict",
            body=models.Wine1ServingDefaultV1Instances.from_dict({"instances": [row.to_dict()]}),
        ),
        "infer": ask(
            "post_v2_models_wine_infer",
            body=models.Wine1ServingDefaultV2Request.from_dict({"inputs": tensors}),
        ),
        "page": ask("get_models_wine"),
        "status": ask("get_v1_models_wine"),
        "refused": ask("post_models_wine_predict", body=models.Wine1ServingDefaultRow(g1=-1.0, g2=0.0)),
        "plain": ask(
            "post_v2_models_wine_infer",
            body=models.Wine1ServingDefaultV2Request.from_dict({"inputs": tensors[:1]}),
        ),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
