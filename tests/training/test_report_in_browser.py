"""The report in a real browser, as wide as a telephone and as a desk's screen."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_report import many_classes, square
from tfleet.training.report import PAGE, write_report

BROWSER = shutil.which("chromium")
PATIENCE_S = 60
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium on the PATH"),
]

# Takes the place of the page's policy, which forbids scripts.
MEASURE = """<script>addEventListener("load", () => {
  const parts = [...document.querySelectorAll("main > *, main > * > *:not(.scroll *), figure, .facts div")];
  const style = getComputedStyle(document.body);
  parent.postMessage({
    beyond: parts.filter(each => each.getBoundingClientRect().right > innerWidth + 1).length,
    colours: [style.color, style.backgroundColor],
    pictures: [...document.images].filter(each => each.naturalWidth === 112).length,
    widths: [innerWidth, document.documentElement.scrollWidth],
  }, "*");
})</script>"""
# A window is never as narrow as a telephone's, but a frame may be.
FRAME = """<meta name="color-scheme" content="light dark"><title></title><script>
addEventListener("message", message => { document.title = JSON.stringify(message.data); });
</script><iframe src="measured.html" style="border:0" height="800" width="%d"></iframe>"""


def measured(folder: Path, width: int, *options: str) -> dict[str, Any]:
    """What a browser makes of the page."""
    assert BROWSER is not None
    text = (folder / PAGE).read_text(encoding="utf-8")
    changed, count = re.subn(r"<meta http-equiv=[^>]*>", MEASURE, text, count=1)
    assert count == 1
    (folder / "measured.html").write_text(changed.replace(' loading="lazy"', ""), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME % width, encoding="utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1600,900",
        "--hide-scrollbars",
        "--virtual-time-budget=5000",
    ]
    command += ["--dump-dom", *options, (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    found = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert found is not None, done.stdout + done.stderr
    measures: dict[str, Any] = json.loads(html.unescape(found[1]))
    return measures


@pytest.mark.parametrize(("width", "classes"), [(360, 20), (1440, 1000)])
def test_the_page_fits_into_the_window(width: int, classes: int, tmp_path: Path) -> None:
    write_report(many_classes(classes), square, tmp_path)
    found = measured(tmp_path, width)
    assert found["widths"] == [width, width], "it need not be moved sideways"
    assert found["beyond"] == 0
    assert found["pictures"] > 60


def test_the_page_is_dark_where_the_reader_wants_it(tmp_path: Path) -> None:
    write_report(many_classes(2), square, tmp_path)
    light, dark = (
        measured(tmp_path, 360, f"--blink-settings=preferredColorScheme={each}") for each in (1, 0)
    )
    assert light["colours"] == ["rgb(29, 33, 37)", "rgb(255, 255, 255)"]
    assert dark["colours"] == ["rgb(230, 233, 236)", "rgb(20, 23, 26)"]
