"""HTML in which text from outside stays text."""

from __future__ import annotations

import pytest

from tfleet.training.markup import Markup, element, escaped, joined, name


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\"'&", "&quot;&#x27;&amp;"),
        ("花 👩‍🍳", "花 👩‍🍳"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("\udce9.jpg", "\\udce9.jpg"),
        ("a\nb\x00", "a\\nb\\x00"),
    ],
)
def test_text_is_escaped(text: str, html: str) -> None:
    assert escaped(text) == html
    assert element("b", text) == f"<b>{html}</b>"
    assert joined("<", element("i")) == "&lt;<i></i>"


def test_elements_are_escaped_once() -> None:
    assert element("p", element("b", "1 < 2"), " & ") == "<p><b>1 &lt; 2</b> &amp; </p>"
    assert isinstance(element("p"), Markup)


def test_attributes_are_escaped() -> None:
    assert element("td", "1", title='"><img src=x>', class_="number") == (
        '<td title="&quot;&gt;&lt;img src=x&gt;" class="number">1</td>'
    )
    assert element("img", src="data:,", alt="") == '<img src="data:,">'
    assert element("meta", http_equiv="a") == '<meta http-equiv="a">'


def test_a_name_keeps_its_direction_to_itself() -> None:
    assert name("<b>") == "<bdi>&lt;b&gt;</bdi>"
