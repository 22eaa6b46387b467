from benchmarks.report.validity import crowded, short, verdict


def test_a_full_measurement_on_a_quiet_machine_is_judged() -> None:
    assert verdict("met by 3.0%", [*crowded(0.05), *short("rounds", 5, 5)]) == "met by 3.0%"


def test_a_busy_machine_or_a_short_run_is_not_judged() -> None:
    doubts = [*crowded(1.764), *short("rounds", 2, 5), *short("s", 5.0, 30.0)]
    assert (
        verdict("met", doubts)
        == "not judged: others used 1.76 CPUs, 2 rounds instead of 5, 5 s instead of 30"
    )
