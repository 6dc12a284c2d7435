"""The benchmark's sampler takes its time in either order, and its table has what the loop was given."""

from scripts.bench import beside, update
from support.runs import parts_of, small


def test_each_order_is_timed_on_the_same_rollouts(tmp_path, monkeypatch) -> None:
    slept = []
    monkeypatch.setattr(beside.time, "sleep", slept.append)
    parts = parts_of(small(tmp_path, "algorithm=ppo", "rollout.staleness=1"))
    found = beside.seconds_of(parts, 7.0, updates=1)
    assert set(found) == {"train", "one after the other", "beside"}
    assert all(seconds > 0 for seconds in found.values())
    # Two updates of each: two rollouts in the first, one in the second.
    assert slept == [0.0] * 3 + [7.0] * 6


def test_the_table_names_the_sum_and_the_longer(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(update, "make_model", lambda folder, prompt: None)
    monkeypatch.setattr(update, "config_for", lambda folder, *overrides: {})
    monkeypatch.setattr(update, "parts_of", lambda config: None)
    times = {"train": 2.0, "one after the other": 5.0, "beside": 3.0}
    monkeypatch.setattr(beside, "seconds_of", lambda parts, write, updates: times)
    assert beside.main(["--write", "3"]) == times
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith("5.000 s, their sum 5.000")
    assert said[2].endswith("3.000 s, the longer 3.000")
