from __future__ import annotations

from dataclasses import dataclass

from tfleet.bulk.spark.opened import Opened


@dataclass
class Model:
    name: str
    closed: bool = False

    def close(self) -> None:
        self.closed = True


def test_a_model_is_opened_once() -> None:
    opened, made = Opened(), []

    def make() -> Model:
        made.append(Model("a"))
        return made[-1]

    assert opened.get("a", make) is opened.get("a", make)
    assert len(made) == 1


def test_the_model_unused_for_longest_is_closed() -> None:
    opened = Opened()
    a, b = opened.get("a", lambda: Model("a")), opened.get("b", lambda: Model("b"))
    opened.get("a", lambda: Model("again"))
    opened.get("c", lambda: Model("c"))
    assert (a.closed, b.closed) == (False, True)
