from tfleet.httpd.admission import Admission, Clients


def test_as_many_as_allowed_are_served_and_the_next_is_told_off() -> None:
    clients = Clients(2)
    assert [clients.come() for _ in range(3)] == [Admission.SERVED, Admission.SERVED, Admission.TOLD_OFF]
    assert (clients.served, clients.refused) == (2, 1)


def test_a_place_is_free_again_when_its_holder_goes() -> None:
    clients = Clients(1)
    first = clients.come()
    clients.go(clients.come())
    assert clients.served == 1, "one that was told off never had a place"
    clients.go(first)
    assert clients.come() is Admission.SERVED


def test_a_flood_is_not_told_one_by_one() -> None:
    clients = Clients(1)
    flood = [clients.come() for _ in range(1000)]
    assert flood.count(Admission.TOLD_OFF) == 256
    assert flood.count(Admission.CLOSED) == 743
    for admission in flood:
        clients.go(admission)
    assert (clients.served, clients.refused) == (0, 999)
    assert [clients.come(), clients.come()] == [Admission.SERVED, Admission.TOLD_OFF]
