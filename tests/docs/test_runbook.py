"""docs/runbook.md: its alerts lead to sections of the page, and its metrics are exposed."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.docs.markdown import ROOT

_PAGE: Final = (ROOT / "docs" / "runbook.md").read_text()
_SECTIONS: Final = re.findall(r"^## (.+)$", _PAGE, re.MULTILINE)
_METRICS: Final = set(
    re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "reference" / "metrics.md").read_text(), re.MULTILINE)
)
_NAMED: Final = sorted(
    set(re.findall(r"\b(?:tfleet_(?:proxy|worker|registry)|process)_[a-z_]+[a-z]\b", _PAGE))
)


@pytest.mark.parametrize("name", _NAMED)
def test_a_metric_that_is_named_exists(name: str) -> None:
    assert name in _METRICS or name.removesuffix("_bucket") in _METRICS


def test_each_alert_leads_to_sections_of_the_page() -> None:
    alerts = re.findall(r"- alert: (\w+)(?:  # section: (.+))?", _PAGE)
    assert len(alerts) > 5
    unknown = [(name, one) for name, named in alerts for one in named.split("; ") if one not in _SECTIONS]
    assert unknown == []
