import pytest

from tfleet.client.commands.drain import NoSuchWorkerError, chosen
from tfleet.client.worker_status import WorkerStatus

ONE = WorkerStatus("tfleet-10.0.0.7-80-9f86", "10.0.0.7:80")
TWO = WorkerStatus("tfleet-10.0.0.7-8080-1234", "10.0.0.7:8080")
THREE = WorkerStatus("tfleet-10.0.0.8-80-abcd", "10.0.0.8:80")
CORPSE = WorkerStatus("tfleet-10.0.0.8-80-0000", "10.0.0.8:80")
STATIC = WorkerStatus("10.0.0.9:80", "10.0.0.9:80")
ALL = (ONE, TWO, THREE, STATIC)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tfleet-10.0.0.7-80-9f86", ONE),
        ("tfleet-10.0.0.7-80-", ONE),
        ("tfleet-10.0.0.8", THREE),
        ("10.0.0.7:80", ONE),
        ("10.0.0.7:8080", TWO),
        ("10.0.0.9:80", STATIC),
    ],
)
def test_a_worker_is_meant_by_its_id_its_address_or_a_beginning(name: str, meant: WorkerStatus) -> None:
    assert chosen(ALL, name) is meant


def test_a_whole_id_wins_over_a_beginning() -> None:
    short = WorkerStatus("tfleet-10.0.0.7", "10.0.0.1:1")
    assert chosen((ONE, TWO, short), "tfleet-10.0.0.7") is short


@pytest.mark.parametrize(
    ("workers", "name", "said"),
    [
        (ALL, "nobody", f"no worker 'nobody': the proxy knows {', '.join(w.id for w in ALL)}"),
        (ALL, "", f"no worker '': the proxy knows {', '.join(w.id for w in ALL)}"),
        (ALL, "10.0.0.7:8", f"no worker '10.0.0.7:8': the proxy knows {', '.join(w.id for w in ALL)}"),
        ((), "x", "no worker 'x': the proxy knows none"),
        (
            ALL,
            "tfleet-10.0.0.7",
            f"'tfleet-10.0.0.7' is the beginning of the id of 2 workers: {ONE.id}, {TWO.id}",
        ),
        (
            (THREE, CORPSE),
            "10.0.0.8:80",
            f"'10.0.0.8:80' is the address of 2 workers: {THREE.id}, {CORPSE.id}",
        ),
    ],
)
def test_an_unknown_id_is_reported_with_the_known_ones(
    workers: tuple[WorkerStatus, ...], name: str, said: str
) -> None:
    with pytest.raises(NoSuchWorkerError) as raised:
        chosen(workers, name)
    assert str(raised.value) == said


def test_of_many_workers_only_some_are_named() -> None:
    many = tuple(WorkerStatus(f"w{number:03}", f"10.0.0.1:{number}") for number in range(100))
    with pytest.raises(NoSuchWorkerError, match=r"w009 and 90 more$"):
        chosen(many, "x")
