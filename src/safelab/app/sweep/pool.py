"""The jobs of a sweep wherever they run: what is done already, who starts, who failed and how, what Ctrl-C means."""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from safelab.app.config.jobs import Job
from safelab.app.sweep.sites.site import Ending, Site
from safelab.app.sweep.worker import LOG_FILE, JobEnd
from safelab.errors import printable, printable_lines

LOSSES = 3
"""Times that a job may be lost through no fault of its own, and go on from its last checkpoint."""

LAST_CALL_S = 10.0
"""Seconds that jobs have to go after a second Ctrl-C."""


def run_all(jobs: Sequence[Job], opened: Callable[[], Site]) -> list[JobEnd]:
    """Run every job, as many at once as the site takes, and say of each when it starts and how it ends.

    Args:
        jobs: checked already; those that are finished are passed over.
        opened: makes the site where they run; not called if all are finished.

    Returns:
        How each job ended, in their order.
    """
    ends: dict[int, JobEnd] = {}
    for number, job in enumerate(jobs):
        if _is_done(job):
            _say(number, jobs, f"finished already: {job.directory}")
            ends[number] = JobEnd(failure=None, final_reward=None)
    waiting = deque(number for number in range(len(jobs)) if number not in ends)
    if waiting:
        site = opened()
        try:
            ends |= _run(jobs, waiting, site)
        finally:
            site.close()
    return [ends[number] for number in range(len(jobs))]


def _run(jobs: Sequence[Job], waiting: deque[int], site: Site) -> dict[int, JobEnd]:
    """The jobs ``waiting`` by number, each as soon as it has a place; on Ctrl-C those that run are stopped."""
    ends: dict[int, JobEnd] = {}
    began: dict[int, float] = {}
    losses: Counter[int] = Counter()
    try:
        while waiting or began:
            for _ in range(site.start([(number, jobs[number]) for number in waiting])):
                number = waiting.popleft()
                began[number] = time.monotonic()
                _say(number, jobs, site.begun)
            for ending in site.ended(None):
                number = ending.number
                took = time.monotonic() - began.pop(number)
                losses[number] += ending.lost
                if ending.lost and losses[number] <= LOSSES:
                    _say(number, jobs, f"{_cause(ending)}; it goes on from its last checkpoint")
                    waiting.append(number)
                else:
                    ends[number] = _collect(ending, jobs, took, losses[number])
    except KeyboardInterrupt:
        _stop(site, began)
        print("the same command goes on with the jobs that are not finished", file=sys.stderr)
        raise
    return ends


def _collect(ending: Ending, jobs: Sequence[Job], took: float, losses: int) -> JobEnd:
    """How a job ended, in its own words, or in the site's if it said nothing."""
    job, end = jobs[ending.number], ending.end
    took = took if end is None or end.seconds is None else end.seconds  # a queue is no part of it
    if end is not None and end.failure is None:
        reward = "" if end.final_reward is None else f", reward {end.final_reward:.3f}"
        _say(ending.number, jobs, f"finished in {took:.0f} s{reward}")
        return end
    failure = _cause(ending) + (f" (for the {losses}th time)" if ending.lost else "")
    _say(ending.number, jobs, f"failed after {took:.0f} s: {failure}")
    print("".join(f"    | {printable(line)}\n" for line in ending.output), end="", file=sys.stderr, flush=True)
    log = job.directory / LOG_FILE
    where = f" ({log})" if log.exists() else ""
    return JobEnd(failure=f"{job.name}: {failure}{where}", final_reward=None)


def _cause(ending: Ending) -> str:
    return ending.cause if ending.end is None else str(ending.end.failure)


def _stop(site: Site, running: dict[int, float]) -> None:
    """Ask each job to save itself and wait; on a second Ctrl-C give them ten seconds."""
    if running:
        print("\nstopping: each job saves itself after this update; Ctrl-C again to end at once", file=sys.stderr)
    for insist, patience in ((False, None), (False, LAST_CALL_S), (True, None)):
        try:
            site.stop(insist)
            until = None if patience is None else time.monotonic() + patience
            while running and (until is None or time.monotonic() < until):
                for ending in site.ended(None if until is None else max(0.0, until - time.monotonic())):
                    running.pop(ending.number, None)
        except KeyboardInterrupt:
            continue
        if not running:
            return


def _is_done(job: Job) -> bool:
    from safelab.app.config.build import settings_of
    from safelab.training.lifecycle.run import is_finished

    return is_finished(settings_of(job.config))


def _say(number: int, jobs: Sequence[Job], text: str) -> None:
    print(f"[{number + 1}/{len(jobs)}] {printable(jobs[number].name)} {printable_lines(text)}", flush=True)
