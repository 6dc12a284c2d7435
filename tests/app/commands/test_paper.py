"""``safelab reproduce --paper``: what is said beforehand, what is trained, and what the report compares."""

from pathlib import Path

import pandas as pd
import pytest

from safelab.app.cli import main
from safelab.app.commands import _paper
from safelab.app.config.compose import opened
from safelab.app.sweep.preset import planned, preset_of
from safelab.errors import INTERRUPTED, ConfigError
from safelab.results.published.read import names, read
from support.commands import small_overrides


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What ``train`` and ``report`` are asked, in order; nothing is trained, and no weights are looked for."""
    monkeypatch.setattr(_paper, "check_policies", lambda made: None)
    asked: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(_paper.train, "main", lambda words: asked.append(("train", [*words])) or 0)
    monkeypatch.setattr(_paper.report, "main", lambda words: asked.append(("report", [*words])) or 0)
    return asked


@pytest.fixture
def here(tmp_path: Path) -> list[str]:
    """Overrides that put a preset on the tests' tiny model."""
    model, prompts = tmp_path, ["~data.cut", "~data.limit"]
    small = [word for word in small_overrides(model) if not word.startswith("updates=")]
    return [*small, *prompts, "evaluator=none", "arms=[safe,ppo]", "seed=0,1", "updates=2"]


def test_it_trains_the_sweep_and_then_reports(calls, tmp_path: Path, capsys) -> None:
    words = [f"output_dir={tmp_path}", "arms=[safe,ppo]", "seed=3", "updates=2"]
    (tmp_path / "safe_paper").mkdir()
    assert main(["reproduce", "--paper", "safe_paper", *words]) == 0
    assert calls == [
        ("train", ["-m", "+sweep=safe_paper", *words]),
        ("report", [str(tmp_path / "safe_paper"), "--paper", "safe_paper"]),
    ]
    said = capsys.readouterr().out
    assert f"trains 2 runs into {tmp_path / 'safe_paper'}" in said
    assert "safe  3      Qwen/Qwen2.5-3B  RLHFlow/ArmoRM-Llama3-8B-v0.1  2        32" in said  # 2 batches of 16
    assert "differs from the publication: " in said
    assert "differs from the preset: updates 2 in place of 2000 (safe, ppo)" in said
    assert "differs from the preset: seed 3 in place of 0, 1, 2, 3, 4 (safe, ppo)" in said
    assert "differs from the preset: no run of safe_released, ppo_released and ppo_matched" in said


def test_without_overrides_nothing_differs_from_the_preset(calls, capsys) -> None:
    assert main(["reproduce", "--paper=safe", "dry_run=true"]) == 0
    assert calls == [("train", ["-m", "+sweep=safe_paper", "dry_run=true"])]
    said = capsys.readouterr().out
    assert "differs from the preset" not in said
    assert "trains 25 runs into" in said
    assert "32,000" in said


def test_one_run_is_one_run(calls, capsys) -> None:
    assert main(["reproduce", "--paper", "safe_paper", "arms=[safe]", "seed=0", "dry_run=true"]) == 0
    assert "trains 1 run into " in capsys.readouterr().out


def test_where_no_run_could_begin_there_is_no_report(calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_paper.train, "main", lambda words: 1)
    assert main(["reproduce", "--paper", "safe_paper", f"output_dir={tmp_path}", "arms=[safe]"]) == 1
    assert calls == []


def test_where_no_hub_can_be_reached_that_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(_paper.train, "main", lambda words: pytest.fail("no run may begin"))
    words = [f"output_dir={tmp_path / 'out'}", "arms=[safe,ppo]", "seed=0,1", "policy.path=nobody/nothing"]
    assert main(["reproduce", "--paper", "safe_paper", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("policy.path must be a directory or hub name of a causal language model") == 1
    assert "got 'nobody/nothing'" in said
    assert not (tmp_path / "out").exists()


def test_weights_are_not_asked_for_where_they_may_not_be_needed(
    calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_paper, "check_policies", lambda made: pytest.fail("no weights may be asked for"))
    words = ["reproduce", "--paper", "safe_paper", f"output_dir={tmp_path}", "arms=[safe]", "seed=0"]
    assert main([*words, "dry_run=true"]) == 0
    assert main([*words, "hydra/launcher=basic"]) == 0
    (tmp_path / "safe_paper").mkdir()
    assert main(words) == 0


def test_the_preset_is_composed_once_where_nothing_else_is_asked(calls, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(_paper, "planned", lambda hydra, told: asked.append(told) or planned(hydra, told))
    assert main(["reproduce", "--paper", "safe_paper", "dry_run=true"]) == 0
    assert asked == [["+sweep=safe_paper"]]


def test_a_run_that_failed_leaves_its_exit_code_and_a_report(
    calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "safe_paper").mkdir()
    monkeypatch.setattr(_paper.train, "main", lambda words: 1)
    assert main(["reproduce", "--paper", "safe_paper", f"output_dir={tmp_path}", "arms=[safe]"]) == 1
    assert [command for command, _ in calls] == ["report"]


def test_ctrl_c_ends_it_before_the_report(calls, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_paper.train, "main", interrupted)
    assert main(["reproduce", "--paper", "safe_paper", "arms=[safe]"]) == INTERRUPTED
    assert calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--paper", "saef_paper"], "got 'saef_paper'; did you mean 'safe_paper'"),
        (["--paper", "smollm_hh"], "got 'smollm_hh'; it is a sweep: safelab train -m +sweep=smollm_hh"),
        (["--paper"], "--paper: expected one argument"),
        (["--paper", "safe_paper", "udpates=2"], "updates"),
        (["--paper", "safe_paper", "arms=[dar]"], "arms has no 'dar'"),
    ],
)
def test_a_mistake_is_one_message(calls, words: list[str], said: str, capsys) -> None:
    assert main(["reproduce", *words]) == 2
    assert said in capsys.readouterr().err
    assert calls == []


def test_the_list_names_them_all(capsys) -> None:
    assert main(["reproduce", "--list"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if not line.startswith(" ")] == names()
    assert read("safe_paper").about.title in said


@pytest.mark.parametrize("name", names())
def test_every_publication_has_a_sweep_with_its_arms(name: str) -> None:
    preset = preset_of(name)
    assert preset is not None
    publication = read(name)
    theirs = {arm for number in publication.numbers if number.metric for arm in number.arms}
    ours = {own for cast in publication.about.stands_for for own in cast.values()} or theirs
    assert ours <= preset.arms.keys()


def test_of_each_arm_one_job_is_composed_and_all_seeds_are_known() -> None:
    with opened() as hydra:
        found = planned(hydra, ["+sweep=demo", "seed=4,2"])
        assert list(found.seeds.values()) == [[2, 4]] * 5
        assert found.arms["safe"]["controller"]["penalty"]["name"] == "asymmetric"
        with pytest.raises(ConfigError):
            planned(hydra, ["+sweep=nowhere"])
    assert preset_of("nowhere") is None


@pytest.mark.slow
def test_from_the_preset_to_the_comparison(here: list[str], tmp_path: Path, capsys) -> None:
    words = [*here, f"output_dir={tmp_path / 'out'}", "hydra.launcher.workers=1"]
    assert main(["reproduce", "--paper", "safe_paper", *words]) == 0
    report = tmp_path / "out" / "safe_paper" / "report"
    frame = pd.read_csv(report / "paper.csv")
    assert set(frame["arm"]) == {"safe", "ppo", "safe over ppo", "ppo over safe"}
    assert list(frame["verdict"][frame["quantity"] == "reward variance"]) == [
        "not measured"
    ]  # no window of ten updates
    assert frame["here"][frame["quantity"] == "training-average reward"].notna().all()
    text = (report / "summary.md").read_text()
    assert "From the preset: updates 2 in place of 2000" in text.replace("\\", "")
    capsys.readouterr()
    assert main(["reproduce", "--paper", "safe_paper", *words]) == 0
    assert capsys.readouterr().out.count("finished already") == 4
