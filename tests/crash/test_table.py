"""Every kind of crash is one file and one row: the rows are complete, and all that lists the kinds follows them."""

import json
import subprocess
import sys
from pathlib import Path
from string import Formatter
from typing import get_type_hints

import pytest
import yaml
from plotly.graph_objects import Scatter

from safelab.crash import table
from safelab.crash.table import KINDS
from safelab.results.words.definitions import definitions
from support.rows import DEFAULT

ROOT = Path(__file__).parents[2]
CONSTANTS = yaml.safe_load(DEFAULT.read_text())
SHARED = {"__init__", "detectors", "excess", "fall", "row", "table"}

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.detector)


def test_every_file_is_shared_or_a_kind() -> None:
    files = {path.stem for path in Path(table.__file__).parent.glob("*.py")}
    assert files - SHARED == {kind.detector for kind in KINDS}
    assert len(KINDS) >= 7


def test_no_two_rows_share_a_key_a_name_or_a_mark() -> None:
    for field in ("key", "detector", "label", "words", "symbol", "step"):
        assert len({getattr(kind, field) for kind in KINDS}) == len(KINDS), field


def test_every_kind_has_its_constants_and_no_others_are_there() -> None:
    assert list(CONSTANTS) == [kind.detector for kind in KINDS]


@each_kind
def test_a_row_is_of_one_piece(kind: table.Kind) -> None:
    assert kind.key == f"crash/{kind.name}"
    assert kind.step.__module__ == f"safelab.crash.{kind.detector}"
    hints = get_type_hints(kind.step)
    assert (hints["options"], hints["state"]) == (kind.options, kind.state)
    kind.state()  # the state before the first update needs no values
    kind.options(**CONSTANTS[kind.detector])


@each_kind
def test_plotly_knows_the_mark(kind: table.Kind) -> None:
    assert Scatter(marker={"symbol": kind.symbol}).marker.symbol == kind.symbol


@each_kind
def test_the_words_say_every_constant_with_its_value(kind: table.Kind) -> None:
    said = {name for _, name, _, _ in Formatter().parse(kind.words) if name is not None}
    assert said == set(CONSTANTS[kind.detector])
    (told,) = definitions(CONSTANTS, [kind.key])
    assert told.label == kind.label
    assert "{" not in told.text
    assert "As the runs defined it" not in told.text


@each_kind
def test_what_a_kind_owes_besides_its_file_and_its_row(kind: table.Kind) -> None:
    assert f"| `{kind.key}` |" in (ROOT / "docs" / "metrics.md").read_text()
    assert (ROOT / "tests" / "crash" / f"test_{kind.detector}.py").is_file()


def test_a_value_in_the_words_by_hand() -> None:
    (told,) = definitions(CONSTANTS, ["crash/entropy_collapse"])
    assert told.text == "Entropy stays below 50\N{NO-BREAK SPACE}% of its first value for 20 updates on end."


NEW_KIND = """
import json
from types import SimpleNamespace

from pydantic import ValidationError

from safelab.crash import table
from safelab.options import Options, State, restored


class SilenceOptions(Options):
    tokens: float


class SilenceState(State):
    seen: int = 0


def step(options, state, row):
    length = row.number("response/length_mean")
    return None if length is None else (SilenceState(seen=state.seen + 1), length < options.tokens)


table.KINDS += (
    table.Kind(
        key="crash/silence",
        detector="silence",
        label="Silence",
        words="Responses have fewer than {tokens:g} tokens.",
        symbol="cross",
        headline=True,
        options=SilenceOptions,
        state=SilenceState,
        step=step,
    ),
)

import pandas

from safelab.crash.detectors import DetectorOptions, detect, detect_init, detect_step
from safelab.parts.guard.stop import Stop
from safelab.results.page.plots import timeline
from safelab.results.runs.metrics import crash_updates
from safelab.results.words.definitions import definitions

constants = CONSTANTS
try:
    DetectorOptions(**constants)
except ValidationError as error:
    missing = [fault["loc"] for fault in error.errors()]
constants["silence"] = {"tokens": 2.5}
options = DetectorOptions(**constants)
rows = [{"response/length_mean": length} for length in (9.0, 2.0, 9.0)]
state, _ = detect_step(options, detect_init(), rows[0], 8)
saved = json.loads(json.dumps(state.model_dump()))
crashes = crash_updates(pandas.DataFrame({"update": [0, 1, 2], "crash/silence": [0, 1, 0]}))
run = SimpleNamespace(updates_done=3, duplicate=False, crashes=crashes, arm="ppo", seed=0, key="ppo/0")
(figure,) = timeline(SimpleNamespace(runs=[run], arms=[SimpleNamespace(name="ppo")]))
mark = figure["traces"][-1]
guard = Stop(name="stop", metrics=["policy/loss"], crashes=["silence"], kl_ceiling=None)
told = {
    "missing": missing,
    "flags": [flags["crash/silence"] for flags in detect(options, rows, 8)],
    "resumed": restored(detect_init(), saved) == state and saved["silence"] == {"seen": 1},
    "crashes": crashes,
    "guarded": guard.crashes,
    "text": definitions(constants, ["crash/silence"])[0].text,
    "mark": [mark["name"], mark["marker"]["symbol"], mark["x"]],
}
print(json.dumps(told))
"""


@pytest.mark.slow
def test_all_that_lists_the_kinds_follows_a_new_row() -> None:
    """In a process of its own, in which the row is there before anything else reads the table."""
    script = NEW_KIND.replace("constants = CONSTANTS", f"constants = {CONSTANTS!r}")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "missing": [["silence"]],
        "flags": [0, 1, 0],
        "resumed": True,
        "crashes": {"crash/silence": [1]},
        "guarded": ["silence"],
        "text": "Responses have fewer than 2.5 tokens.",
        "mark": ["Silence", "cross", [1]],
    }
