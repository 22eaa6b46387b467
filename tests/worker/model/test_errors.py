"""The one line of a foreign message that says what happened."""

import pytest

from tfleet.worker.model.errors import first_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("simple", "simple"),
        ("", "ValueError"),
        ("\n  second line  \n", "second line"),
        (
            "Graph execution error:\n\nDetected at node 'x' defined at:\n  File\nNode: 'x'\nbad image\n",
            "bad image",
        ),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_line_with_the_cause_is_shown(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line


def test_a_missing_operation_is_named_with_its_package() -> None:
    said = "Op type not registered 'SentencepieceOp' in binary running on vm. Make sure the Op and Kernel ..."
    assert first_line(ValueError(said)) == (
        "it needs the operation SentencepieceOp (tensorflow-text), which TensorFlow does not have: "
        "export the model without it, and do what it does in the client"
    )
