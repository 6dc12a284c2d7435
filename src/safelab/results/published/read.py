"""Reads a publication's two files, and refuses what is not as ``safelab.results.published`` describes it."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from safelab.errors import DataError, nearest
from safelab.options import Options, describe

FOLDER = Path(__file__).parent

OTHER_NAMES = {"safe": "safe_paper"}
"""What a publication was called before, and is still found by."""

DIVERGED, CRASH = "diverged", "crash/"
"""Metrics, the second one a beginning, that are shares of runs and no number of each."""

SHARE_OF_RUNS = "share of runs"
RATIOS = ("%", "times")
"""Units of a ratio of two arms."""

COLUMNS = ("arm", "quantity", "metric", "value", "sd", "n", "unit", "margin", "place")
"""That a CSV must have; ``note`` may follow."""


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _number(value: Any) -> Any:
    """A cell as a number; an empty one as None, other text as it is, which is then refused by its key."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value


Text = Annotated[str, Field(min_length=1)]
Sentences = Annotated[list[Text], BeforeValidator(_one_or_many)]
"""A list of sentences; a single one may stand without a dash."""
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[float, Field(ge=1, multiple_of=1)]
NUMBERS = ("value", "sd", "n", "margin")


class Number(Options):
    """One published number: a row of the CSV."""

    arm: Text
    quantity: Text
    metric: str
    value: float
    sd: Positive | None
    n: Whole | None
    unit: str
    margin: Positive | None
    place: Text
    note: str

    @model_validator(mode="before")
    @classmethod
    def _cells(cls, values: Any) -> Any:
        return {key: _number(value) if key in NUMBERS else value for key, value in values.items()}

    @model_validator(mode="after")
    def _agree(self) -> "Number":
        if "/" in self.arm and self.unit not in RATIOS:
            raise ValueError(f"unit must be % or times where arm is a ratio ({self.arm}), got {self.unit!r}")
        least = {"%": -100.0, "times": 0.0}.get(self.unit)
        if "/" in self.arm and least is not None and self.value <= least:
            raise ValueError(f"value must be > {least:g} for a ratio in {self.unit}, got {self.value:g}")
        if self.unit == SHARE_OF_RUNS and not 0 <= self.value <= 1:
            raise ValueError(f"value must be from 0 to 1 for a {SHARE_OF_RUNS}, got {self.value:g}")
        if self.counts_runs and ("/" in self.arm or self.unit != SHARE_OF_RUNS):
            raise ValueError(
                f"{self.metric} must be of one arm and in the unit {SHARE_OF_RUNS!r}, "
                f"got the arm {self.arm} and the unit {self.unit!r}"
            )
        if self.sd is not None and (self.n is None or self.n < 2):
            raise ValueError("sd must come with the n of at least 2 runs that it is over")
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """One arm, or the two of a ratio."""
        return tuple(self.arm.split("/"))

    @property
    def counts_runs(self) -> bool:
        """Whether its metric is a share of runs, as of those that crashed."""
        key, _ = self.measure
        return key == DIVERGED or key.startswith(CRASH)

    @property
    def measure(self) -> tuple[str, int]:
        """The key of our measure, and the power of it."""
        key, _, power = self.metric.partition("^")
        return key, int(power or 1)


class About(Options):
    """What a publication is and how what we train differs from it: the YAML.

    ``stands_for``: where several of our arms may stand for one of theirs, each such choice: name in the CSV -> our arm.
    ``measured``: what we found, a sentence each with its place in ``docs/log.md``; empty where it was not run.
    """

    title: Text
    source: Sentences
    claim: Text
    settings: dict[str, str | int | float | bool] | Sentences
    departures: Sentences
    margin_reason: Text
    unread: Sentences
    measured: Sentences = Field(default_factory=list)
    stands_for: list[dict[str, str]] = Field(default_factory=list)

    @property
    def facts(self) -> list[str]:
        """The settings, a line each."""
        if isinstance(self.settings, dict):
            return [f"{key}: {value}" for key, value in self.settings.items()]
        return list(self.settings)


class Publication(Options):
    """Both files."""

    name: str
    about: About
    numbers: list[Number]


def names(folder: Path = FOLDER) -> list[str]:
    """The publications that are known, in the order of their names."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def is_known(name: str) -> bool:
    """Whether there is a publication of that name, or one that was called so before."""
    return OTHER_NAMES.get(name, name) in names()


def read(name: str, folder: Path = FOLDER) -> Publication:
    """The publication called ``name``.

    Raises:
        DataError: there is none, or one of its files is wrong, naming file, row and key.
    """
    name = OTHER_NAMES.get(name, name)
    if name not in (known := names(folder)):
        raise DataError(f"--paper must be a publication that is known here, got {name!r}; {nearest(name, known)}")
    return Publication(name=name, about=_about(folder / f"{name}.yaml"), numbers=_numbers(folder / f"{name}.csv"))


def _about(file: Path) -> About:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        return About.model_validate(found if isinstance(found, Mapping) else {})
    except yaml.YAMLError as error:
        raise DataError(f"{file} must be YAML: {error}") from error
    except ValidationError as error:
        raise DataError(f"{file}: " + "; ".join(describe(error, "", About.model_fields))) from error


def _numbers(file: Path) -> list[Number]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, strict=True)
            return [_number_of(row, f"{file} line {rows.line_num}") for row in rows]
    except (OSError, csv.Error) as error:
        raise DataError(f"{file} must be a CSV with the columns {', '.join(COLUMNS)}: {error}") from error


def _number_of(row: Mapping[str | None, Any], where: str) -> Number:
    lacking = [column for column in COLUMNS if row.get(column) is None]
    if lacking or None in row:
        raise DataError(f"{where} must have the columns {', '.join(COLUMNS)}, got {', '.join(map(str, row))}")
    try:
        return Number.model_validate({"note": "", **row})
    except ValidationError as error:
        raise DataError(f"{where}: " + "; ".join(describe(error, "row", Number.model_fields))) from error
