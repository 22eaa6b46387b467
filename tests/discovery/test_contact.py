from tfleet.discovery.contact import LastContact


def test_the_age_counts_from_the_last_success_or_start() -> None:
    now_s = 100.0
    contact = LastContact(lambda: now_s)
    now_s = 103.0
    assert contact.age_s == 3.0
    contact.succeeded()
    now_s = 104.0
    contact.failed()
    assert contact.age_s == 1.0
    assert repr(contact) == "<LastContact failures=1 age=1.0 s>"
