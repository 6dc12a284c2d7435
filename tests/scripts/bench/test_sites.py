from pathlib import Path

import pytest
from scripts.bench.sites import Measured, table

from scripts.bench import sites


def test_the_table_says_what_another_machine_gains() -> None:
    shown = table([Measured(raylets=1, jobs=24, seconds=120.0), Measured(raylets=2, jobs=24, seconds=80.0)])
    assert shown.splitlines()[2:] == ["| 1 | 24 | 120.0 | 12.0 | 1.00 |", "| 2 | 24 | 80.0 | 18.0 | 1.50 |"]


def test_each_number_of_raylets_is_warmed_then_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[tuple] = []

    class Pretended:
        def __init__(self, count: int) -> None:
            self.count = count

        def __enter__(self) -> str:
            return f"head:{self.count}"

        def __exit__(self, *error: object) -> None:
            made.append(("closed", self.count))

    def sweep(address: str, jobs: int, updates: int, output: Path) -> float:
        made.append((address, jobs, updates))
        return 10.0 / int(address[-1])

    monkeypatch.setattr(sites, "raylets", Pretended)
    monkeypatch.setattr(sites, "sweep", sweep)
    assert sites.main(["--jobs", "4", "--updates", "3", "--raylets", "1", "2"]) == 0
    assert made == [
        ("head:1", 1, 1), ("head:1", 4, 3), ("closed", 1), ("head:2", 1, 1), ("head:2", 4, 3), ("closed", 2),
    ]  # fmt: skip
    assert "| 2 | 4 | 5.0 | 48.0 | 2.00 |" in capsys.readouterr().out
