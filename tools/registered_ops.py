"""Write worker/model/registered_ops.txt: the operations that TensorFlow has, by name.

    python -m tools.registered_ops

`tfleet model show` compares a model's operations with this list, so that it need not import TensorFlow. Run
this after an upgrade of TensorFlow.
"""

from __future__ import annotations

from tfleet.worker.model.missing_ops import LIST
from tfleet.worker.model.tensorflow import tf


def registered() -> list[str]:
    """The names of all operations that this process has registered, sorted."""
    from tensorflow.core.framework import op_def_pb2  # noqa: PLC0415 - after the filter of its start messages
    from tensorflow.python.client import pywrap_tf_session  # noqa: PLC0415 - the same

    buffer = pywrap_tf_session.TF_GetAllOpList()
    operations = op_def_pb2.OpList()
    operations.ParseFromString(pywrap_tf_session.TF_GetBuffer(buffer))
    return sorted(operation.name for operation in operations.op)


def main() -> None:
    names = registered()
    LIST.write_text(
        "\n".join([f"# TensorFlow {tf.__version__}, by python -m tools.registered_ops", *names, ""])
    )
    print(f"{LIST}: {len(names)} operations of TensorFlow {tf.__version__}")


if __name__ == "__main__":
    main()
