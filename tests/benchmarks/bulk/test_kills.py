from benchmarks.bulk.kills import Kill, KillFigures
from benchmarks.bulk.kills_text import kills_text


def test_a_row_that_is_missing_or_twice_is_said_loudly() -> None:
    kills = [Kill(2.0, 1), Kill(3.0, 4)]
    same = KillFigures("csv", 100, 100, 8, kills, 9, 9)
    other = KillFigures("parquet", 100, 101, 8, kills, 9, 8)
    assert kills_text([same, other])[-2:] == [
        "| csv | 2 | 1, 4; of 8 | 100 | 9 of 9 |",
        "| parquet | 2 | 1, 4; of 8 | 101 | 8 of 9 **NOT THE SAME** |",
    ]
