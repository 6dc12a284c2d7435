import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import safelab
from safelab.app.config.jobs import Job
from safelab.errors import ConfigError, DataError
from safelab.runlog.reader import read_run
from support.commands import small_overrides


def small(out: Path, algorithm: str, seed: int) -> Job:
    words = [f"algorithm={algorithm}", f"seed={seed}", "updates=3", "experiment=e", f"arm={algorithm}"]
    return safelab.compose(*words, *small_overrides(out), f"output_dir={out}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("api")
    for algorithm, seed in (("ppo", 0), ("safe", 0), ("safe", 1)):
        safelab.train(small(out, algorithm, seed))
    return out / "e"


def test_importing_safelab_imports_neither_torch_nor_hydra() -> None:
    code = "import sys, safelab; print([name for name in ('torch', 'hydra', 'pandas') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_everything_offered_is_there() -> None:
    assert all(callable(getattr(safelab, name)) for name in safelab.FROM_PYTHON)
    assert set(safelab.FROM_PYTHON) <= set(dir(safelab))
    with pytest.raises(AttributeError, match="no attribute 'tran'"):
        safelab.tran  # noqa: B018


def test_compose_makes_nothing_and_says_where_the_run_will_be(tmp_path) -> None:
    job = safelab.compose("algorithm=safe", "seed=4", f"output_dir={tmp_path}/out")
    assert (job.config["seed"], job.directory) == (4, tmp_path / "out/default/safe/seed_4")
    assert not list(tmp_path.iterdir())


def test_a_mistake_has_the_command_lines_message() -> None:
    with pytest.raises(ConfigError, match=r"objective\.clip_rnge must be a key .* did you mean 'clip_range'"):
        safelab.compose("objective.clip_rnge=0.1")
    with pytest.raises(ConfigError, match="compose must be given one run"):
        safelab.compose("+sweep=demo")


def test_a_run_is_what_the_command_line_leaves(trained: Path) -> None:
    run = safelab.Run(trained / "safe" / "seed_1")
    record = read_run(run.path)
    assert (run.status, record.info.command.split()[:3]) == ("finished", ["safelab", "train", "algorithm=safe"])
    pd.testing.assert_frame_equal(run.frame, record.metrics)
    assert run.frame["update"].tolist() == [0, 1, 2]


def test_a_finished_run_is_left_as_it_is(trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (trained / "safe" / "seed_1").iterdir()}
    assert safelab.train(small(trained.parent, "safe", 1)).path == trained / "safe" / "seed_1"
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_study_has_every_run_and_its_means(trained: Path) -> None:
    study = safelab.report(trained, baseline="ppo")
    assert study.arms["arm"].tolist() == ["ppo", "safe"]
    assert study.arms["runs_finished"].tolist() == [1, 2]
    assert len(study.rows) == 9
    assert sorted(set(zip(study.rows["arm"], study.rows["seed"], strict=True))) == [
        ("ppo", 0),
        ("safe", 0),
        ("safe", 1),
    ]
    by_hand = study.rows[study.rows["arm"] == "safe"].groupby("seed")["reward/mean"].mean().mean()
    assert study.arms.set_index("arm").filter(regex=r"^reward_mean \[").loc["safe"].item() == pytest.approx(
        by_hand, rel=1e-12
    )
    assert study.verdict
    assert study.limits
    with pytest.raises(DataError, match="'pppo'"):
        safelab.report(trained, baseline="pppo")


def test_a_figure_holds_the_rows(trained: Path) -> None:
    study = safelab.report(trained, baseline="ppo")
    drawn = {trace.name: trace for trace in study.figure("reward/mean").data if trace.name is not None}
    safe = study.rows[study.rows["arm"] == "safe"].groupby("update")["reward/mean"].mean()
    assert drawn["safe"].y == pytest.approx(safe.tolist(), rel=1e-4)
    assert safelab.Run(trained / "ppo" / "seed_0").figure("kl/ref_seq_k1").layout.title.text
    with pytest.raises(DataError, match="'reward/maen'"):
        study.figure("reward/maen")


def test_a_study_is_saved_as_the_command_saves_it(trained: Path, tmp_path) -> None:
    page = safelab.report(trained, baseline="ppo").save(tmp_path / "r")
    assert page == tmp_path / "r" / "index.html"
    assert {"report.json", "table.tex", "summary.csv", "figures"} <= {path.name for path in page.parent.iterdir()}


def test_what_is_no_word_no_run_and_no_path_is_told_with_what_is_meant(trained: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"compose must be given text, a word each, got \['seed=1'\].*compose\(\*words"
    ):
        safelab.compose(["seed=1"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="train must be given what compose returns, got 'seed=1'"):
        safelab.train("seed=1")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"report must be given paths, got .* several as report"):
        safelab.report([trained])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="report must be given at least one path, got none"):
        safelab.report()
    with pytest.raises(DataError, match="metrics must be a list of names, got 'kl_final'"):
        safelab.report(trained, metrics="kl_final")


def test_threads_compose_one_after_the_other() -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = pool.map(lambda seed: safelab.compose(f"seed={seed}"), range(4))
        assert [job.config["seed"] for job in jobs] == [0, 1, 2, 3]


def test_a_run_stays_the_same_run_in_another_folder(trained: Path, monkeypatch) -> None:
    monkeypatch.chdir(trained)
    run = safelab.Run("ppo/seed_0")
    monkeypatch.chdir(trained / "safe")
    assert run.status == "finished"
