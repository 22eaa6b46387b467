from __future__ import annotations

import pytest

from tfleet.runtime.termination_message import TerminationMessage

USAGE = ["Usage: tfleet worker [OPTIONS]", "Try 'tfleet worker --help' for help.", ""]


@pytest.mark.parametrize(
    "refusal",
    [["tfleet worker: a/b: no labels"], ["Error: a/b: no labels"], [*USAGE, "Error: a/b: no labels"]],
)
def test_a_childs_error_line_is_kept_as_its_reason(refusal: list[str]) -> None:
    words = TerminationMessage()
    assert words.feed('{"event": "worker starting"}') == ['{"event": "worker starting"}']
    assert [words.feed(line) for line in refusal] == [[]] * len(refusal)
    assert words.reason == "a/b: no labels"
    assert words.end() == refusal
    assert (words.reason, words.end()) == ("", [])


def test_a_message_followed_by_other_output_is_shown() -> None:
    words = TerminationMessage()
    assert words.feed("tfleet worker: no matter") == []
    assert words.feed("it goes on") == ["tfleet worker: no matter", "it goes on"]
    assert words.reason == ""


def test_only_the_last_of_several_messages_is_kept() -> None:
    words = TerminationMessage()
    assert words.feed("tfleet worker: first") == []
    assert words.feed("tfleet worker: second") == ["tfleet worker: first"]
    assert words.reason == "second"


def test_blank_lines_after_it_change_nothing() -> None:
    words = TerminationMessage()
    assert [words.feed(line) for line in ("Error: no labels", "", " ")] == [[], [], []]
    assert words.reason == "no labels"


def test_a_usage_without_an_end_is_shown() -> None:
    words = TerminationMessage()
    lines = ["Usage: of nothing", *(str(number) for number in range(20))]
    shown = [line for given in lines for line in words.feed(given)]
    assert [*shown, *words.end()] == lines
    assert len(shown) > 5
