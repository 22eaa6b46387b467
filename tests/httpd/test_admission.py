from tfleet.httpd.admission import Admission, AdmissionVerdict


def test_connections_beyond_the_limit_are_refused() -> None:
    admission = Admission(2)
    assert [admission.connected() for _ in range(3)] == [
        AdmissionVerdict.ADMITTED,
        AdmissionVerdict.ADMITTED,
        AdmissionVerdict.REFUSED,
    ]
    assert (admission.admitted, admission.turned_away) == (2, 1)


def test_a_closed_connection_frees_its_place() -> None:
    admission = Admission(1)
    first = admission.connected()
    admission.disconnected(admission.connected())
    assert admission.admitted == 1, "one that was told off never had a place"
    admission.disconnected(first)
    assert admission.connected() is AdmissionVerdict.ADMITTED


def test_a_flood_is_refused_and_then_dropped() -> None:
    admission = Admission(1)
    flood = [admission.connected() for _ in range(1000)]
    assert flood.count(AdmissionVerdict.REFUSED) == 256
    assert flood.count(AdmissionVerdict.DROPPED) == 743
    for verdict in flood:
        admission.disconnected(verdict)
    assert (admission.admitted, admission.turned_away) == (0, 999)
    assert [admission.connected(), admission.connected()] == [
        AdmissionVerdict.ADMITTED,
        AdmissionVerdict.REFUSED,
    ]
