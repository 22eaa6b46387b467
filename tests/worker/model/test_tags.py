from pathlib import Path

import pytest

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.tags import choose_tags


@pytest.mark.parametrize(
    ("stated", "there", "chosen"),
    [
        (None, [("serve",), ("serve", "gpu")], ("serve",)),
        (None, [()], ()),
        (None, [("train",), ("serve", "gpu")], ("serve", "gpu")),
        (None, [("serve", "tpu"), ("serve", "gpu")], ("serve", "gpu")),
        (("gpu", "serve"), [("serve",), ("serve", "gpu")], ("serve", "gpu")),
    ],
)
def test_the_graph_to_serve_follows_from_the_tags(
    stated: tuple[str, ...] | None, there: list[tuple[str, ...]], chosen: tuple[str, ...]
) -> None:
    assert choose_tags(Path("m"), stated, there) == chosen


@pytest.mark.parametrize(
    ("stated", "there", "said"),
    [
        (("eval",), [("serve",)], r"m: has no graph with the tags \['eval'\]; it has \['serve'\]"),
        (
            None,
            [("a",), ("b",)],
            r"set tags in \[model\] of a model.toml: \['a'\] or \['b'\]",
        ),
    ],
)
def test_a_choice_that_is_not_clear_is_refused(
    stated: tuple[str, ...] | None, there: list[tuple[str, ...]], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        choose_tags(Path("m"), stated, there)
