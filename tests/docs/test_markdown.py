from __future__ import annotations

from tests.docs.markdown import anchors, cells, code_spans, links

PAGE = """# The `model.toml` file

A [link
of two lines](other.md#part), `[no](link)` and ![a picture](x.png).

```text
[in code](nowhere.md) `code`
```

## What is it?
## What is it?
- <a id="here"></a>

| a | [long name](https://example.org/very/long) |
"""


def test_links_are_read_outside_of_code() -> None:
    assert list(links(PAGE)) == ["other.md#part", "x.png", "https://example.org/very/long"]


def test_anchors_are_those_of_github() -> None:
    assert anchors(PAGE) == {"the-modeltoml-file", "what-is-it", "what-is-it-1", "here"}


def test_a_cell_has_no_markup() -> None:
    assert cells("| a | [long name](https://example.org) |") == ["a", "long name"]
    assert cells("no table") == []


def test_code_spans_are_read_outside_of_fences() -> None:
    assert list(code_spans(PAGE)) == ["model.toml", "[no](link)"]
