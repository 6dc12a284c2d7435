"""What counts as slower, and that a run compares or writes. What is measured has its own tests."""

import json
from pathlib import Path

import pytest
from scripts.bench.turns import Ratio

from scripts.bench import compare, memory


def ratio(median: float, low: float, high: float) -> Ratio:
    return Ratio(ratio=median, quartiles=(low, high), low=low, high=high)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (ratio(1.30, 1.12, 1.50), "slower"),  # all of it above 1.1
        (ratio(1.30, 1.09, 1.50), "slower?"),
        (ratio(1.09, 1.05, 1.50), "as before"),
        (ratio(0.95, 0.80, 1.00), "as before"),
        (ratio(0.85, 0.80, 0.90), "faster"),
    ],
)
def test_a_verdict_over_a_baseline_of_one(now: Ratio, said: str) -> None:
    assert compare.verdict(1.0, now) == said
    # Ratios of ratios: a baseline of another size moves the bounds with it.
    assert compare.verdict(3.0, ratio(3 * now.ratio, 3 * now.low, 3 * now.high)) == said


def test_the_table_says_what_changed() -> None:
    now = {"update": ratio(1.2, 1.15, 1.3), "decoding": ratio(2.0, 1.9, 2.1), "memory": ratio(1.0, 1.0, 1.0)}
    table, slower = compare.compared({"update": 1.0, "decoding": 2.0}, now)
    rows = [line.split() for line in table.splitlines()[1:]]
    assert rows[0] == ["update", "1.000", "1.200", "[", "1.150,", "1.300]", "+20.0%", "slower"]
    assert rows[1][-3:] == ["+0.0%", "as", "before"]
    assert rows[2][-1] == "new"
    assert slower
    assert not compare.compared({"decoding": 2.0}, now)[1]
    assert max(map(len, table.splitlines())) <= 80


def test_a_run_writes_a_baseline_and_is_held_against_it(tmp_path: Path, monkeypatch, capsys) -> None:
    asked = []

    def measured(settings, rounds):
        asked.append((*settings, rounds))
        return {"update, ppo, even": ratio(1.0 + len(asked), 0.9 + len(asked), 1.1 + len(asked))}

    monkeypatch.setattr(compare, "ROOT", tmp_path)
    monkeypatch.setattr(compare, "BASELINE", tmp_path / "baseline.json")
    monkeypatch.setattr(compare, "measured", measured)
    with pytest.raises(SystemExit):
        compare.main([])  # there is nothing to compare with
    assert compare.main(["--write", "--rounds", "3"]) == 0
    assert asked == [("even", "ragged", "answers", "memory", 3)]
    assert json.loads((tmp_path / "baseline.json").read_text())["measures"]["update, ppo, even"]["ratio"] == 2.0
    assert compare.main(["--setting", "even"]) == 1
    assert asked[-1] == ("even", 8)
    assert "slower" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        compare.main(["--write", "--setting", "even"])


def test_every_measure_is_over_the_floor_of_its_setting(monkeypatch) -> None:
    times = {"floor": 2.0, "ppo": 3.0, "safe": 4.0, "floor_decoding": 1.0, "decoding": 5.0}
    monkeypatch.setattr(compare.update, "make_setting", lambda directory, setting: None)
    monkeypatch.setattr(compare.update.Bench, "worker", lambda bench, kind: kind)
    monkeypatch.setattr(
        compare, "take_turns", lambda workers, rounds: {kind: [times[kind]] * rounds for kind in workers}
    )
    peaks = iter([30.0, 20.0])
    monkeypatch.setattr(memory, "in_a_process", lambda case, ways: {"measured": next(peaks)})
    found = {name: each.ratio for name, each in compare.measured(["ragged", "memory"], 3).items()}
    assert found == {
        "update, ppo, ragged": 1.5, "update, safe, ragged": 2.0, "decoding, ragged": 5.0, "memory, ragged / even": 1.5,
    }  # fmt: skip


def test_the_stored_baseline_holds_every_measure() -> None:
    stored = json.loads(compare.BASELINE.read_text())
    assert set(stored) == {"machine", "commit", "command", "measures"}
    works = {f"{work}, {name}" for work in compare.WORK for name in compare.update.settings()}
    assert set(stored["measures"]) == works | {"memory, ragged / even"}
    assert all(each["low"] <= each["ratio"] <= each["high"] for each in stored["measures"].values())
