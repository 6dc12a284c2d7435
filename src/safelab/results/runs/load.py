"""Which runs there are, which arm and seed each is, and which of them count. Every exception is named.

Policy. A run counts if it finished. So does one that diverged (its numbers were not finite any more, or a guard ended
it) after at least one update: that is what the method did, and ``crash_policy`` says what its missing updates are. A
run that failed, was interrupted or still runs is no result: where it would have ended is unknown. It is listed, and
enters no number, no picture of an arm and no comparison, unless unfinished runs are asked for. Of several runs of one
arm and seed one counts: a finished one before others, then the latest. A directory whose ``run.json`` cannot be read is
named and left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from safelab.errors import DataError, printable
from safelab.results.names import shortened
from safelab.results.runs.select import arms_by, where
from safelab.runlog.long_form import is_long_form, read_long_form
from safelab.runlog.reader import RunRecord, find_runs, read_run
from safelab.runlog.schema import ROLLBACK, RunInfo

STATUS_RANK = {"finished": 0, "diverged": 1, "failed": 2, "interrupted": 3, "running": 4}
"""Which of two runs of one arm and seed counts: the lower."""

UNFINISHED = ("failed", "interrupted", "running")
"""How a run stands that is no result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRun:
    """A run in its place. ``note`` says why it does not count, or what is incomplete about one that does.

    ``arm`` is a name that fits a table, ``whole`` the one that was given.
    """

    record: RunRecord
    arm: str
    whole: str
    counted: bool
    note: str
    duplicate: bool = False

    @property
    def seed(self) -> int:
        """What runs of different arms are paired by."""
        return self.record.info.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSet:
    """All runs, by arm and seed, and the messages of the directories that could not be read.

    ``unfinished``: whether runs that did not finish count, too.
    """

    runs: Sequence[LoadedRun]
    unreadable: Sequence[str]
    unfinished: bool = False

    @property
    def arms(self) -> dict[str, list[LoadedRun]]:
        """Arms in the order of their names."""
        arms: dict[str, list[LoadedRun]] = defaultdict(list)
        for run in self.runs:
            arms[run.arm].append(run)
        return dict(arms)

    @property
    def columns(self) -> list[str]:
        """Every metric that some run has, in the order of first sight."""
        return list(dict.fromkeys(name for run in self.runs for name in run.record.metrics.columns))


def load(
    paths: Iterable[str | Path],
    by: Sequence[str] = (),
    conditions: Sequence[str] = (),
    cache: Path | None = None,
    unfinished: bool = False,
) -> RunSet:
    """Every run at or below ``paths``, in arms.

    Args:
        paths: run directories, folders above some, globs, or tables of other trainers' curves in long form.
        by: keys whose values make an arm; none: the arm that each run was trained as.
        conditions: ``key=value`` that a run must meet, see ``select.where``.
        cache: where parsed rows of long runs are kept; None: nowhere.
        unfinished: whether runs that did not finish count, too.

    Raises:
        DataError: a path holds no run, none of the runs can be read, or a key or condition fits none.
    """
    paths = list(paths)
    folders = [path for path in paths if not is_long_form(path)]
    records = [run for path in paths if is_long_form(path) for run in read_long_form(path)]
    unreadable: list[str] = []
    for directory in find_runs(folders):
        try:
            records.append(read_run(directory, cache))
        except DataError as error:
            unreadable.append(printable(str(error)))
    if not records:
        raise DataError(f"at least one run must be readable, got none: {'; '.join(unreadable)}")
    return arranged(where(records, conditions), unreadable, by, unfinished)


def arranged(
    records: Sequence[RunRecord], unreadable: Sequence[str] = (), by: Sequence[str] = (), unfinished: bool = False
) -> RunSet:
    """Runs that were read, in arms; of several of one arm and seed the one that counts first."""
    names = [printable(name) for name in arms_by(records, by)] if by else arm_names([r.info for r in records])
    twins: dict[tuple[str, int], list[RunRecord]] = defaultdict(list)
    for name, record in zip(names, records, strict=True):
        twins[name, record.info.seed].append(record)
    short = shortened(name for name, _ in sorted(twins))
    runs = [run for (arm, _), same in sorted(twins.items()) for run in _judge((short[arm], arm), same, unfinished)]
    return RunSet(runs=runs, unreadable=unreadable, unfinished=unfinished)


def arm_names(infos: Sequence[RunInfo]) -> list[str]:
    """Each run's arm; with its experiment before it where arms of one name come from several experiments."""
    experiments: dict[str, set[str]] = defaultdict(set)
    for info in infos:
        experiments[info.arm].add(info.experiment)
    names = [f"{info.experiment}/{info.arm}" if len(experiments[info.arm]) > 1 else info.arm for info in infos]
    return [printable(name) for name in names]


def _judge(names: tuple[str, str], same: Sequence[RunRecord], unfinished: bool) -> list[LoadedRun]:
    """The runs of one arm and seed, the one that may count first."""
    arm, whole = names
    first, *others = sorted(sorted(same, key=_later, reverse=True), key=lambda r: STATUS_RANK[r.info.status])
    counted, note = _counts(first, unfinished)
    note = "; ".join(part for part in (note, rollbacks(first)) if part)
    twin = f"duplicate of {printable(str(first.directory))}, which stands for this arm and seed"
    return [
        LoadedRun(record=first, arm=arm, whole=whole, counted=counted, note=note),
        *(LoadedRun(record=other, arm=arm, whole=whole, counted=False, note=twin, duplicate=True) for other in others),
    ]


def rollbacks(record: RunRecord) -> str:
    """How often and where the guard went back in a run, and what that left of its rates; nothing if it never did."""
    events = [event for event in record.events if event.get("kind") == ROLLBACK]
    if not events:
        return ""
    ways = ", ".join(f"{event.get('update')} to {event.get('restored')}" for event in events)
    last = events[-1]
    return printable(
        f"went back {len(events)} time{'s' * (len(events) != 1)} (update {ways}); on with {last.get('lr_scale')} times "
        f"the learning rates and {last.get('kl_coef_scale')} times the KL penalty"
    )


def _later(record: RunRecord) -> tuple[str, str]:
    return record.info.started, str(record.directory)


def _counts(record: RunRecord, unfinished: bool) -> tuple[bool, str]:
    """Whether a run enters the numbers, and what is to be said of it."""
    rows, planned = len(record.metrics), record.info.updates
    status = record.info.status
    if rows == 0:
        return False, f"{status} without a single readable update"
    if status in UNFINISHED:
        return unfinished, f"{status} after {rows} of {planned} updates: {'counted' if unfinished else 'not counted'}"
    if status == "diverged":
        return True, f"{status} after {rows} of {planned} updates"
    return True, "" if rows >= planned else f"finished, but {planned - rows} of {planned} updates cannot be read"
