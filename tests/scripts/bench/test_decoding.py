"""Every way of decoding is timed, in turns; compiling is left to the tests of the policy."""

import re

import pytest

from scripts.bench import decoding, update


def test_each_way_has_its_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(update, "WIDTH", 16)
    monkeypatch.setattr(update, "LAYERS", 1)
    decoding.main(["--rounds", "2", "--ways", "dynamic", "static"])
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"(\w+) +median +([\d.]+) ms  least +([\d.]+) ms", line) for line in lines[-2:]]
    assert [line[1] for line in found if line] == ["dynamic", "static"]
    assert all(float(line[2]) >= float(line[3]) > 0 for line in found if line)


def test_rows_of_different_lengths(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(update, "WIDTH", 16)
    monkeypatch.setattr(update, "LAYERS", 1)
    monkeypatch.setattr(decoding, "PROMPT", (6, 20))
    monkeypatch.setattr(decoding, "RESPONSE", (4, 12))
    decoding.main(["--ragged", "--rounds", "1", "--rows", "24", "--group", "2", "--ways", "dynamic", "static"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("24 rows, 2 to a prompt, cpu")
    assert [line.split()[:2] for line in lines[1:5]] == [
        [way, kind] for way in ("dynamic", "static") for kind in ("whole", "leaving")
    ]
    assert all(float(line.split()[3]) > 0 for line in lines[1:5])
