from benchmarks.tables.page import WORKER, Bulk, TableFigures, table_page

FIGURES = TableFigures({WORKER: 900.0, "slow": 100.0, "fast": 300.0}, Bulk(2.0, 80.0), Bulk(0.5, 100.0))


def test_the_best_setting_of_the_peer_counts() -> None:
    assert FIGURES.best_peer == 300.0


def test_the_page_has_each_bar_with_its_figure() -> None:
    lines = table_page(FIGURES, "--rounds 3", "litserve 1").splitlines()
    assert "| JSON rows/s, over LitServe's best setting | 3 | 3.00 |" in lines
    assert "| CPU of an Arrow body above the session's, ms | 1.5 | 1.50 |" in lines
