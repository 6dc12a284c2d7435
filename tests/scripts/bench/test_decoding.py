"""Every way of decoding is timed, in turns; compiling is left to the tests of the policy."""

import re

import pytest

from scripts.bench import decoding, update


def test_each_way_has_its_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(decoding, "WAYS", ("dynamic", "static"))
    monkeypatch.setattr(update, "WIDTH", 16)
    monkeypatch.setattr(update, "LAYERS", 1)
    decoding.main(["--rounds", "2"])
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"(\w+) +median +([\d.]+) ms  least +([\d.]+) ms", line) for line in lines[-2:]]
    assert [line[1] for line in found if line] == ["dynamic", "static"]
    assert all(float(line[2]) >= float(line[3]) > 0 for line in found if line)
