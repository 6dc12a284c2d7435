"""What TensorBoard's own reader finds in the files is the rows, also after a run was gone on with."""

import builtins
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from safelab.errors import ConfigError
from safelab.parts.tracker.tensorboard import FOLDER, Tensorboard

RUN = {"experiment": "demo", "arm": "safe", "seed": 1, "started": "now", "git_commit": "c0ffee"}


def option() -> Tensorboard:
    return Tensorboard(name="tensorboard", tags=["pilot"], notes="a first look")


def shown(directory: Path, rows: list[dict], samples: dict[int, list[dict]] | None = None) -> EventAccumulator:
    """What lies in the run's directory after one process has shown ``rows``."""
    mirror = option().build(None).start(directory, {"seed": 1}, RUN)
    for row in rows:
        mirror.log(row)
        if found := (samples or {}).get(row["update"]):
            mirror.samples(row["update"], found)
    mirror.finish("finished")
    return EventAccumulator(str(directory / FOLDER)).Reload()


def points(events: EventAccumulator, key: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(key)]


def test_a_point_per_number_and_none_for_words_and_gaps(tmp_path: Path) -> None:
    row = {"update": 3, "reward/mean": 0.5, "guard/rollbacks": 2, "crash/kl": True, "phase": "warmup", "gold": None}
    events = shown(tmp_path, [row, {"update": 4, "reward/mean": "NaN"}])
    assert sorted(events.Tags()["scalars"]) == ["crash/kl", "guard/rollbacks", "reward/mean"]
    assert points(events, "guard/rollbacks") == [(3, 2.0)]
    first, second = points(events, "reward/mean")
    assert first == (3, 0.5)
    assert math.isnan(second[1])


def test_what_an_earlier_process_showed_is_not_there_twice(tmp_path: Path) -> None:
    shown(tmp_path, [{"update": update, "reward/mean": 1.0} for update in range(5)])
    events = shown(tmp_path, [{"update": update, "reward/mean": 2.0} for update in range(3)])
    assert points(events, "reward/mean") == [(0, 2.0), (1, 2.0), (2, 2.0)]


def test_samples_configuration_and_notes_are_texts(tmp_path: Path) -> None:
    events = shown(tmp_path, [{"update": 7}], {7: [{"update": 7, "prompt": "Hello", "reward": 1.5}]})
    texts = {
        key: events.Tensors(f"{key}/text_summary")[0].tensor_proto.string_val[0].decode()
        for key in ("samples", "configuration", "notes")
    }
    assert events.Tensors("samples/text_summary")[0].step == 7
    assert "    prompt: Hello\n    reward: 1.5" in texts["samples"]
    assert "seed: 1" in texts["configuration"]
    assert "c0ffee" in texts["configuration"]
    assert texts["notes"] == "pilot\n\na first look"


def test_without_the_package_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest):
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"pip install '\./safelab\[tensorboard\]'"):
        option().build(None)
