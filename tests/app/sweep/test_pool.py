"""The pool over a site that only pretends: what is said, what is tried again, what Ctrl-C asks for."""

from collections.abc import Sequence

import pytest

from safelab.app.config.jobs import Job
from safelab.app.sweep import pool
from safelab.app.sweep.sites.site import Ending
from safelab.app.sweep.worker import JobEnd

DONE = JobEnd(failure=None, final_reward=0.5, seconds=3.0)


class Pretended:
    """A site with ``places``; each job ends as the next of its ``fates`` says, or at once by Ctrl-C."""

    begun = "started"

    def __init__(self, places: int, fates: dict[int, list[JobEnd | str | BaseException]]) -> None:
        self.places, self.fates = places, fates
        self.running: list[int] = []
        self.most = 0
        self.stops: list[bool] = []
        self.closed = False

    def start(self, waiting: Sequence[tuple[int, Job]]) -> int:
        taken = waiting[: self.places - len(self.running)]
        self.running += [number for number, _ in taken]
        self.most = max(self.most, len(self.running))
        return len(taken)

    def ended(self, seconds: float | None) -> Sequence[Ending]:
        number = self.running.pop(0)
        fate = self.fates[number].pop(0)
        if isinstance(fate, BaseException):
            self.running.insert(0, number)
            raise fate
        end = fate if isinstance(fate, JobEnd) else None
        lost = isinstance(fate, str) and fate.startswith("lost")
        return [Ending(number=number, end=end, cause=str(fate), output=["its last line"], lost=lost)]

    def stop(self, insist: bool) -> None:
        self.stops.append(insist)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def nothing_is_done_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_is_done", lambda job: job.config["seed"] == 9)


def jobs(*seeds: int) -> list[Job]:
    told = {"output_dir": "o", "experiment": "e", "arm": "a"}
    return [Job(config={**told, "seed": seed}, overrides=()) for seed in seeds]


def test_no_more_jobs_at_once_than_the_site_takes(capsys: pytest.CaptureFixture[str]) -> None:
    site = Pretended(2, {number: [DONE] for number in range(5)})
    assert pool.run_all(jobs(0, 1, 2, 3, 4), lambda: site) == [DONE] * 5
    assert site.most == 2
    assert site.closed
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "[1/5] a seed 0 started",
        "[2/5] a seed 1 started",
        "[1/5] a seed 0 finished in 3 s, reward 0.500",
    ]


def test_what_is_finished_needs_no_site(capsys: pytest.CaptureFixture[str]) -> None:
    ends = pool.run_all(jobs(9), lambda: pytest.fail("no site was needed"))
    assert [end.failure for end in ends] == [None]
    assert "finished already: o/e/a/seed_9" in capsys.readouterr().out


@pytest.mark.parametrize(("times", "ends_well"), [(1, True), (3, True), (4, False)])
def test_a_lost_job_goes_on_three_times(times: int, ends_well: bool, capsys: pytest.CaptureFixture[str]) -> None:
    site = Pretended(1, {0: ["lost: its node is gone"] * times + [DONE], 1: [DONE]})
    ends = pool.run_all(jobs(0, 1), lambda: site)
    said = capsys.readouterr()
    assert said.out.count("lost: its node is gone; it goes on from its last checkpoint") == min(times, 3)
    assert (ends[0].failure is None) == ends_well
    assert ends[1] == DONE
    if not ends_well:
        assert ends[0].failure == "a seed 0: lost: its node is gone (for the 4th time)"
        assert "    | its last line" in said.err


def test_a_failed_job_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    site = Pretended(1, {0: [JobEnd(failure="no reward", final_reward=None)], 1: ["its process said nothing"]})
    ends = pool.run_all(jobs(0, 1), lambda: site)
    assert [end.failure for end in ends] == ["a seed 0: no reward", "a seed 1: its process said nothing"]
    assert "failed after 0 s: no reward" in capsys.readouterr().out


def test_ctrl_c_asks_once_and_the_second_insists_after_a_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = JobEnd(failure="SIGINT after update 3", final_reward=None, stopped=True)
    once = Pretended(2, {0: [KeyboardInterrupt(), saved], 1: [saved]})
    with pytest.raises(KeyboardInterrupt):
        pool.run_all(jobs(0, 1, 2), lambda: once)
    assert once.stops == [False]
    assert once.closed
    assert once.running == []

    monkeypatch.setattr(pool, "LAST_CALL_S", 0.0)
    twice = Pretended(1, {0: [KeyboardInterrupt(), KeyboardInterrupt(), saved]})
    with pytest.raises(KeyboardInterrupt):
        pool.run_all(jobs(0), lambda: twice)
    assert twice.stops == [False, False, True]


def test_a_fault_of_our_own_lets_go_of_the_site() -> None:
    site = Pretended(1, {0: [ZeroDivisionError()]})
    with pytest.raises(ZeroDivisionError):
        pool.run_all(jobs(0), lambda: site)
    assert site.closed
