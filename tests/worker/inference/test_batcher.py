import math
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import perf_counter

import pytest

from tests.support.waiting import eventually_sync
from tfleet.worker.inference.batch_callers import BatchResult, Delivery, OverdueError, Submission
from tfleet.worker.inference.batcher import Batcher, first_of


class Session:
    """What is run: each image's row is its double. It notes the batches, and stops while the gate is shut.

    More runs at once than it has lanes fail.
    """

    def __init__(self, lanes: int = 1) -> None:
        self.lanes = lanes
        self.batches: list[list[int]] = []
        self.threads: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self._free = threading.Semaphore(lanes)

    def __call__(self, images: Sequence[int]) -> list[int]:
        assert self._free.acquire(blocking=False), "more runs at once than lanes"
        try:
            self.batches.append(list(images))
            self.threads.append(threading.get_ident())
            self.entered.release()
            assert self.gate.wait(10)
            if any(image < 0 for image in images):
                raise ValueError(f"{min(images)} is no image")
            return [2 * image for image in images]
        finally:
            self._free.release()


def batcher_of(session: Session, *sizes: int, clock: Callable[[], float] = perf_counter) -> Batcher[int, int]:
    return Batcher(session, first_of(lambda: sizes), lambda: session.lanes, clock=clock)


class Crowd:
    """Callers in threads of their own, that arrive one after the other while the session is busy."""

    def __init__(self, batcher: Batcher[int, int], session: Session, pool: ThreadPoolExecutor) -> None:
        self._batcher = batcher
        self._session = session
        self._pool = pool

    def behind(
        self, *images: int, deadline_s: float | None = None
    ) -> tuple[Future[BatchResult[int]], list[Future[BatchResult[int]]]]:
        """A caller who is running, the last of as many as there are lanes, and others who wait. The gate is
        shut.
        """
        self._session.gate.clear()
        for lane in range(self._session.lanes):
            first = self._pool.submit(self._batcher, 1000 + lane)
            assert self._session.entered.acquire(timeout=10)
        others = []
        for count, image in enumerate(images, 1):
            others.append(self._pool.submit(self._batcher, image, deadline_s))
            eventually_sync(self._waiting, wanted=f"waiting={count}>".__eq__)
        return first, others

    def _waiting(self) -> str:
        return repr(self._batcher).split(" ")[-1]


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def crowd(session: Session) -> Iterator[Callable[..., Crowd]]:
    with ThreadPoolExecutor(32) as pool:

        def gather(*sizes: int, clock: Callable[[], float] = lambda: 0.0) -> Crowd:
            return Crowd(batcher_of(session, *sizes, clock=clock), session, pool)

        yield gather
        session.gate.set()


def test_a_lone_image_runs_at_once_in_its_own_thread(session: Session) -> None:
    share = batcher_of(session, 1, 2)(21)
    assert (share.row, share.batch) == (42, 1)
    assert session.threads == [threading.get_ident()]


def test_images_that_came_meanwhile_are_the_next_batch(session: Session, crowd: Callable[..., Crowd]) -> None:
    first, others = crowd(1, 2, 3, 4).behind(1, 2, 3)
    session.gate.set()
    assert first.result(10).batch == 1
    assert [(other.result(10).row, other.result(10).batch) for other in others] == [(2, 3), (4, 3), (6, 3)]
    assert session.batches == [[1000], [1, 2, 3]]


def test_a_batch_holds_the_oldest_and_no_more_than_allowed(
    session: Session, crowd: Callable[..., Crowd]
) -> None:
    _, others = crowd(1, 2).behind(1, 2, 3, 4, 5)
    session.gate.set()
    assert [other.result(10).row for other in others] == [2, 4, 6, 8, 10]
    assert session.batches == [[1000], [1, 2], [3, 4], [5]]


def test_only_the_sizes_that_were_named_are_run(session: Session, crowd: Callable[..., Crowd]) -> None:
    _, others = crowd(1, 4).behind(1, 2, 3, 4, 5, 6)
    session.gate.set()
    assert [other.result(10).row for other in others] == [2, 4, 6, 8, 10, 12]
    assert session.batches == [[1000], [1, 2, 3, 4], [5], [6]]


def test_a_bad_image_fails_alone(session: Session, crowd: Callable[..., Crowd]) -> None:
    _, (good, bad, other) = crowd(1, 2, 3).behind(1, -1, 2)
    session.gate.set()
    assert (good.result(10).row, other.result(10).row) == (2, 4)
    with pytest.raises(ValueError, match="-1 is no image"):
        bad.result(10)
    assert session.batches == [[1000], [1, -1, 2], [1], [-1], [2]]


def test_a_lone_bad_image_is_run_once(session: Session) -> None:
    batcher = batcher_of(session, 1)
    with pytest.raises(ValueError, match="no image"):
        batcher(-1)
    assert session.batches == [[-1]]
    assert batcher(1).row == 2, "and the next one runs"


def test_an_overdue_image_is_left_out(session: Session, crowd: Callable[..., Crowd]) -> None:
    now_s = 0.0
    gathered = crowd(1, 2, 3, clock=lambda: now_s)
    _, overdue = gathered.behind(1, 2, deadline_s=5.0)
    now_s = 5.0
    session.gate.set()
    for one in overdue:
        with pytest.raises(OverdueError):
            one.result(10)
    assert session.batches == [[1000]], "nothing was computed for them"


def test_an_image_overdue_on_arrival_is_not_run(session: Session) -> None:
    with pytest.raises(OverdueError):
        batcher_of(session, 1, clock=lambda: 5.0)(1, deadline_s=5.0)
    assert session.batches == []


def test_an_overdue_image_does_not_keep_those_behind_it(
    session: Session, crowd: Callable[..., Crowd]
) -> None:
    now_s = 0.0
    gathered = crowd(1, 2, 3, clock=lambda: now_s)
    _, (overdue,) = gathered.behind(1, deadline_s=5.0)
    others = [gathered._pool.submit(gathered._batcher, image) for image in (7, 8)]
    eventually_sync(lambda: repr(gathered._batcher), wanted=lambda text: "waiting=3>" in text)
    now_s = 5.0
    session.gate.set()
    with pytest.raises(OverdueError):
        overdue.result(10)
    assert sorted(other.result(10).row for other in others) == [14, 16]


def test_the_times_are_from_the_call_to_the_run_and_of_the_run(session: Session) -> None:
    times = iter([1.0, 4.0, 7.0, 7.0])  # called, run, done, who is next
    share = batcher_of(session, 1, clock=lambda: next(times))(1)
    assert (share.queue_s, share.infer_s) == (3.0, 3.0)


def test_a_leaders_end_leaves_no_image_waiting(crowd: Callable[..., Crowd]) -> None:
    class Ended(BaseException):
        pass

    def end(images: Sequence[int]) -> Sequence[int]:
        raise Ended

    batcher: Batcher[int, int] = Batcher(end, first_of(lambda: (1, 2)), lambda: 1)
    for _ in range(2):
        with pytest.raises(Ended):
            batcher(1)


def test_images_wait_when_all_lanes_run() -> None:
    session = Session(lanes=2)
    with ThreadPoolExecutor(8) as pool:
        last, others = Crowd(batcher_of(session, 1, 2, 4), session, pool).behind(1, 2, 3)
        assert session.batches == [[1000], [1001]], "both run, each alone"
        session.gate.set()
        assert last.result(10).batch == 1
        assert [other.result(10).row for other in others] == [2, 4, 6]
    assert sorted(session.batches[2:]) == [[1, 2], [3]]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_thirty_two_callers_each_get_their_own_answers(lanes: int) -> None:
    session = Session(lanes)
    batcher = batcher_of(session, *range(1, 9))

    def call_often(number: int) -> bool:
        images = range(number * 1000, number * 1000 + 100)
        return all(batcher(image).row == 2 * image for image in images)

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(call_often, range(32)))
    assert sum(map(len, session.batches)) == 3200
    assert max(map(len, session.batches)) <= 8
    assert "running=0 waiting=0" in repr(batcher)


def test_an_image_is_released_with_its_answer() -> None:
    class Image:
        pass

    batcher = Batcher[Image, int](lambda images: [0] * len(images), first_of(lambda: (1,)), lambda: 1)
    image = Image()
    alive = weakref.ref(image)
    batcher(image)
    del image
    assert alive() is None, "without waiting for the collector of circles"


class Background:
    """Submits images without a thread, and notes what is delivered. Batches run in the threads of a pool."""

    def __init__(self, batcher: Batcher[int, int], pool: ThreadPoolExecutor) -> None:
        self.batcher = batcher
        self._pool = pool
        self.delivered: list[dict[int, int | str]] = []
        self.told = threading.Semaphore(0)
        self.gone: set[int] = set()

    def submit(self, *images: int, deadline_s: float = math.inf) -> None:
        submissions = [
            Submission(image, image, deadline_s, partial(self.gone.__contains__, image)) for image in images
        ]
        self.batcher.submit(submissions, self._deliver, self._start)

    def wait(self, count: int) -> list[dict[int, int | str]]:
        """Wait for so many images."""
        for _ in range(count):
            assert self.told.acquire(timeout=10)
        return self.delivered

    def _start(self, run: Callable[[], None]) -> None:
        self._pool.submit(run)

    def _deliver(self, deliveries: Sequence[Delivery[int, int]]) -> None:
        self.delivered.append(
            {
                each.submission.owner: type(each.error).__name__ if each.result is None else each.result.row
                for each in deliveries
            }
        )
        self.told.release(len(deliveries))


@pytest.fixture
def background(session: Session) -> Iterator[Callable[..., Background]]:
    with ThreadPoolExecutor(4) as pool:
        yield lambda *sizes, **options: Background(batcher_of(session, *sizes, **options), pool)
        session.gate.set()


def test_images_submitted_together_run_together(
    session: Session, background: Callable[..., Background]
) -> None:
    ahead = background(1, 2, 4)
    ahead.submit(1, 2, 3, 4, 5)
    assert sorted(ahead.wait(5), key=len) == [{5: 10}, {1: 2, 2: 4, 3: 6, 4: 8}]
    assert session.batches == [[1, 2, 3, 4], [5]]
    assert threading.get_ident() not in session.threads


def test_submitted_images_take_no_more_slots_than_there_are(background: Callable[..., Background]) -> None:
    ahead = background(1)
    for image in range(50):
        ahead.submit(image, 100 + image)
    assert len(ahead.wait(100)) == 100, "the session fails if more run at once"
    assert {row for each in ahead.delivered for row in each.values()} == {
        2 * image for image in (*range(50), *range(100, 150))
    }


def test_submitted_images_run_with_those_of_threads(
    session: Session, background: Callable[..., Background]
) -> None:
    ahead = background(1, 3)
    session.gate.clear()
    ahead.submit(1000)
    assert session.entered.acquire(timeout=10)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(ahead.batcher, 1)
        eventually_sync(lambda: ahead.batcher.waiting, wanted=(1).__eq__)
        ahead.submit(2, 3)
        session.gate.set()
        assert waits.result(10).row == 2
    assert sorted(ahead.wait(3), key=len) == [{1000: 2000}, {2: 4, 3: 6}]
    assert session.batches == [[1000], [1, 2, 3]]


def test_a_submitted_image_fails_alone(background: Callable[..., Background]) -> None:
    ahead = background(1, 2)
    ahead.submit(1, -1)
    assert ahead.wait(2) == [{1: 2, -1: "ValueError"}]


def test_nothing_runs_for_a_submitter_that_has_left(
    session: Session, background: Callable[..., Background]
) -> None:
    ahead = background(1, 2)
    session.gate.clear()
    ahead.submit(1)
    assert session.entered.acquire(timeout=10)
    ahead.submit(2, 3)
    ahead.gone.add(2)
    session.gate.set()
    assert {image: row for each in ahead.wait(3) for image, row in each.items()} == {
        1: 2,
        2: "CallerLeftError",
        3: 6,
    }
    assert session.batches == [[1], [3]]


def test_a_submitted_image_past_its_deadline_does_not_run(
    session: Session, background: Callable[..., Background]
) -> None:
    ahead = background(1, clock=lambda: 5.0)
    ahead.submit(1, deadline_s=5.0)
    assert ahead.wait(1) == [{1: "OverdueError"}]
    assert session.batches == []
