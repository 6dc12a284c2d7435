"""A campaign of a few tries finds nothing; what one finds is printed. ``tests/system/faults`` has the faults."""

from pathlib import Path

import pytest
from scripts.tools.chaos import __main__ as chaos
from scripts.tools.chaos import bits, disks, fuzz, kills, poison, world, writes

KINDS = {bits.flips, disks.lost_folders, kills.kills_at_random, poison.nan_in_each_tensor, writes.writes_that_fail}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No world is made and no run is broken: that is what the tests of the faults do."""
    monkeypatch.setattr(chaos, "make_world", lambda folder: world.World(
        folder=folder, overrides=(), reference={}, seconds=1.5, job=None))  # fmt: skip
    monkeypatch.setattr(chaos.writes, "count_writes", lambda made: 20)
    monkeypatch.setattr(chaos.disks, "may_mount", lambda folder: False)


def test_fuzzed_configurations_of_a_few_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert chaos.main(["--only", "fuzz", "--examples", "4"]) == 0
    said = capsys.readouterr().out
    assert "one run: 1.5 s, 20 writes" in said
    assert "overrides and files that nobody meant: 4 tries, 0 findings" in said
    assert "no tmpfs may be mounted here" in said


def test_each_campaign_is_made_at_its_size_and_a_finding_is_told(monkeypatch, capsys) -> None:
    asked: list[tuple[object, ...]] = []

    def fake(name: str):
        def campaign(*arguments: object) -> world.Campaign:
            asked.append((name, *arguments[1:2]))
            made = world.Campaign(name, tries=1)
            if name == "flips":
                made.found("byte 3 of 4: not seen")
            return made

        return campaign

    for kind in KINDS:
        monkeypatch.setattr(chaos.__dict__[kind.__module__.rsplit(".", 1)[1]], kind.__name__, fake(kind.__name__))
    words = ["random", "fail", "lost", "flip", "nan"]
    assert chaos.main(["--kills", "7", "--points", "2", "--only", *words]) == 1
    said = capsys.readouterr().out
    assert "  flips: byte 3 of 4: not seen\n" in said
    assert said.count(" 1 tries, 0 findings") == 5
    assert ("kills_at_random", 7) in asked
    points = [what[1] for what in asked if what[0] == "writes_that_fail"]
    assert len(points) == 2
    assert all(len(set(chosen)) == 2 and max(chosen) < 20 for chosen in points)


def test_what_is_raised_is_a_finding(monkeypatch, capsys) -> None:
    def breaks(hydra: object, words: list[str]) -> str:
        raise ZeroDivisionError(f"at {len(words)}")

    monkeypatch.setattr(fuzz, "ending", breaks)
    assert chaos.main(["--only", "fuzz", "--examples", "4"]) == 1
    assert "ZeroDivisionError: at " in capsys.readouterr().out
