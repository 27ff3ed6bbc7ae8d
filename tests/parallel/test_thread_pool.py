"""Jobs side by side: order, errors, bounded memory, and what an interrupt leaves."""

import threading
import time

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel.thread_pool import AHEAD, PixelBudget, run_jobs


def test_outcomes_come_in_the_order_of_the_jobs():
    def do(job):
        time.sleep(0.02 * (job % 3 == 0))  # every third one is overtaken
        return job * job

    assert list(run_jobs(range(12), do, workers=4)) == [(job, job * job) for job in range(12)]


def test_jobs_overlap():
    """Two jobs that wait for each other: one after the other they would never end."""
    meeting = threading.Barrier(2, timeout=10)
    assert [outcome for _, outcome in run_jobs("ab", lambda _: meeting.wait() >= 0, workers=2)] == [True, True]


def test_a_failed_job_is_reported_and_the_others_go_on():
    def do(job):
        if job == 1:
            raise HqmdError("one is bad")
        return job

    outcomes = [outcome for _, outcome in run_jobs(range(3), do, workers=2)]
    assert outcomes[0] == 0 and outcomes[2] == 2
    assert isinstance(outcomes[1], HqmdError) and str(outcomes[1]) == "one is bad"


def test_other_errors_are_not_hidden():
    def do(job):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_jobs(range(3), do, workers=2))


@pytest.mark.parametrize("workers", [1, 3])
def test_only_a_window_of_jobs_is_taken_ahead(workers):
    taken = 0

    def jobs():
        nonlocal taken
        for job in range(100):
            taken += 1
            yield job

    for collected, _ in enumerate(run_jobs(jobs(), lambda job: job, workers)):
        assert taken <= collected + workers * AHEAD


def test_after_an_interrupt_the_jobs_in_hand_finish_and_no_other_begins():
    begun, finished = [], []
    first_two = threading.Barrier(3, timeout=10)  # both workers, and the test

    def do(job):
        begun.append(job)
        first_two.wait()
        time.sleep(0.05)
        finished.append(job)

    def interrupted():
        yield from (0, 1)
        first_two.wait()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(interrupted(), do, workers=2))
    assert sorted(begun) == sorted(finished) == [0, 1]


def test_what_finished_after_an_interrupt_is_given_all_the_same():
    started = threading.Barrier(3, timeout=10)

    def do(job):
        started.wait()
        time.sleep(0.05)
        return job

    def interrupted():
        yield from (0, 1)
        started.wait()
        raise KeyboardInterrupt

    given = []
    with pytest.raises(KeyboardInterrupt):
        for job, _ in run_jobs(interrupted(), do, workers=2):
            given.append(job)
    assert given == [0, 1]


def test_no_jobs():
    assert list(run_jobs([], print, workers=2)) == []


def test_no_more_pixels_at_once_than_there_is_room_for():
    """Of jobs of 40, 40, 40 and 300 in a room for 100, two go together and the largest alone."""
    room, guard, held, most = PixelBudget(100), threading.Lock(), set(), []

    def do(job):
        number, pixels = job
        with room.taken(pixels):
            with guard:
                held.add(job)
                most.append(set(held))
            time.sleep(0.02)
            with guard:
                held.remove(job)
        return number

    jobs = list(enumerate([40, 40, 40, 300, 40]))
    assert [outcome for _, outcome in run_jobs(jobs, do, workers=5)] == [0, 1, 2, 3, 4]
    assert max(len(together) for together in most) == 2
    assert all(len(together) == 1 for together in most if (3, 300) in together)
    assert room.free == 100


def test_room_is_given_back_when_a_job_fails():
    room = PixelBudget(10)
    with pytest.raises(ValueError, match="bad"), room.taken(10):
        raise ValueError("bad")
    assert room.free == 10
