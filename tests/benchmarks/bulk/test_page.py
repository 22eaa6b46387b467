from benchmarks.bulk.page import BulkFigures, bulk_page

FIGURES = BulkFigures(
    {"csv": [90.0, 100.0, 200.0], "parquet": [400.0]},
    {"csv": [50.0, 80.0, 90.0], "parquet": [500.0]},
    12.0,
    {"csv": 700.0, "parquet": 800.0},
)


def test_the_page_has_each_bar_with_its_figure() -> None:
    lines = bulk_page(FIGURES, 3_000_000, "", "keras 3").splitlines()
    assert "| `tfleet score` | 100 (90 to 200) | 400 (400 to 400) |" in lines
    assert "| over Keras `predict` | 0.9 | 1.25 | 0.80 |" in lines
    assert "| most memory of `tfleet score`, MB | 1,000 | 700 | 800 |" in lines
