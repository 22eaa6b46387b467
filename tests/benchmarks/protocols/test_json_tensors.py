import pytest

from benchmarks.protocols.json_tensors import JsonCost, json_costs, page
from benchmarks.report.spread import Spread


@pytest.mark.process
def test_each_task_runs_and_is_compared() -> None:
    costs = json_costs(1)
    assert [name.split()[0] for name in costs] == ["read"] * 4 + ["write"] * 2
    assert all(cost.ms.middle > 0 and cost.ratio.middle > 0 for cost in costs.values())


def test_the_page_says_which_bars_are_met() -> None:
    ms = Spread(12.0, 11.0, 13.0)
    text = page({"a": JsonCost(ms, Spread(0.3, 0.2, 0.5)), "b": JsonCost(ms, Spread(0.9, 0.2, 1))}, 3)
    assert "| a | 12.0 | 0.30 (0.20 to 0.50) | met by 50.0% |" in text
    assert "| b | 12.0 | 0.90 (0.20 to 1.00) | **missed** by 50.0% |" in text
