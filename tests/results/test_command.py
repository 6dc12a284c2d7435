import json
import subprocess
import sys
from pathlib import Path

import pytest

from safelab.app.commands.report import report
from safelab.errors import ConfigError, DataError

from .conftest import MakeRun


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    for arm, level in (("ppo", 0.4), ("safe[red]", 0.6)):
        for seed in (0, 1):
            make_run(arm, seed, rewards=[level, level + 0.1 * seed])
    return tmp_path / "runs"


def test_the_report_is_written_and_the_last_lines_say_what_and_where(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([str(runs), "--baseline", "ppo"]) == 0
    shown = capsys.readouterr().out
    *_, page, following = shown.splitlines()
    assert page == f"Page: {runs / 'report/index.html'}"
    assert following == f"Next: safelab runs {runs}  # every run in one line"
    assert "\nFound: In training-average reward, " in shown
    assert "safe[red]" in shown
    made = sorted(path.name for path in (runs / "report").iterdir())
    assert made == [
        "figures",
        "index.html",
        "report.json",
        "runs.csv",
        "runs.parquet",
        "summary.csv",
        "summary.md",
        "summary.parquet",
        "table.tex",
    ]


def test_a_second_report_finds_the_same_runs(runs: Path) -> None:
    report([str(runs)])
    report([str(runs), "--baseline", "safe[red]", "--metric", "reward_final", "--window", "3"])
    saved = json.loads((runs / "report/report.json").read_text())
    assert (saved["baseline"], saved["primary"], saved["window"], len(saved["runs"])) == (
        "safe[red]",
        "reward_final",
        3,
        4,
    )


def test_output_goes_where_it_is_told(runs: Path, tmp_path: Path) -> None:
    assert report([str(runs / "*" / "seed_0"), "--output", str(tmp_path / "deep/er")]) == 0
    assert (tmp_path / "deep/er/index.html").exists()
    assert not (runs / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: DIR"),
        (["RUNS", "--windw", "3"], "unrecognized arguments"),
        (["RUNS", "--window", "1"], "at least 2, got '1'"),
        (["RUNS", "--crash-policy", "drop"], "invalid choice: 'drop'"),
        (["RUNS", "--baseline", "pppo"], "did you mean 'ppo'"),
        (["RUNS", "--metric", "reward/maen"], "did you mean 'reward/mean'"),
        (["RUNS", "--columns", "finished,rewad_mean"], "got 'rewad_mean'; did you mean 'reward_mean'"),
        (["RUNS", "--paper", "smollm_hh"], "it is a sweep: safelab train -m .sweep=smollm_hh"),
        (["RUNS", "--paper", "saef_paper"], "did you mean 'safe_paper'"),
        (["RUNS/nowhere"], "must be an existing directory"),
        (["RUNS/*/seed_0"], "--output must be given"),
        (["RUNS", "--output", "RUNS/ppo/seed_0/run.json"], "must be a directory, got the file"),
        (["RUNS", "--output", "RUNS/ppo/seed_0/run.json/x"], "must be writable"),
    ],
)
def test_mistakes_are_one_message_and_make_nothing(runs: Path, arguments: list[str], message: str) -> None:
    before = sorted(runs.rglob("*"))
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        report([argument.replace("RUNS", str(runs)) for argument in arguments])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert sorted(runs.rglob("*")) == before


def test_a_folder_without_runs_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold at least one run"):
        report([str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_help_needs_none_of_the_heavy_libraries() -> None:
    program = (
        "import sys\nfrom safelab.app.commands.report import parser\nparser().format_help()\n"
        "print([name for name in ('pandas', 'matplotlib', 'plotly', 'scipy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_report_never_loads_torch(runs: Path) -> None:
    program = (
        "import sys\nfrom safelab.app.commands.report import report\nreport(sys.argv[1:])\n"
        "print([name for name in ('torch', 'transformers', 'hydra', 'wandb') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(runs)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
