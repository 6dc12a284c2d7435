from pathlib import Path

import pytest

from support.commands import Done, call_here

# A world of seconds: it need not be good, only made.
SMALL = [
    "world.language_model.width=16", "world.language_model.layers=1", "world.language_model.heads=2",
    "world.language_model.mlp_width=16", "world.language_model.steps=20", "world.reward_model.pairs=20",
    "world.reward_model.held_out=20", "world.reward_model.epochs=1", "world.value_model.epochs=1",
]  # fmt: skip


@pytest.fixture
def pretrain(tmp_path: Path, monkeypatch, capfd):
    monkeypatch.setenv("SAFELAB_CACHE", str(tmp_path / "cache"))
    cwd = tmp_path / "cwd"
    cwd.mkdir()

    def act(*arguments: str) -> Done:
        return call_here(cwd, monkeypatch, capfd, "pretrain", *arguments)

    return act


def made(tmp_path: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (tmp_path / "cache").iterdir() if path.is_dir())


def test_it_makes_policy_and_reward_model_and_prints_what_was_measured(pretrain, tmp_path: Path) -> None:
    done = pretrain(*SMALL)
    assert done.code == 0, done
    assert made(tmp_path) == ["language_model", "reward_model"]
    assert "perplexity" in done.out
    assert "accuracy" in done.out
    assert "language model: step" in done.err
    assert done.made == []

    again = pretrain(*SMALL)
    assert again.out == done.out
    assert again.err == ""

    other_seeds = pretrain("-m", "seed=0,1", *SMALL)
    assert other_seeds.code == 0, other_seeds
    assert made(tmp_path) == ["language_model", "reward_model", "reward_model"]
    assert other_seeds.out.count("accuracy") == 2
    assert other_seeds.out.count("perplexity") == 1


def test_a_reward_model_that_another_reward_holds_is_made(pretrain, tmp_path: Path) -> None:
    done = pretrain("reward=perturbed", "reward@reward.of=tiny_rm", *SMALL)
    assert done.code == 0, done
    assert made(tmp_path) == ["language_model", "reward_model"]


def test_a_run_without_a_critic_finds_its_value_model_made(pretrain, tmp_path: Path, monkeypatch, capfd) -> None:
    done = pretrain("algorithm=dvpo", *SMALL)
    assert done.code == 0, done
    assert made(tmp_path) == ["language_model", "reward_model", "value_model"]
    assert "value deviation" in done.out
    before = sorted((tmp_path / "cache").rglob("*"))
    run = ["train", "algorithm=dvpo", *SMALL, "updates=2", "rollout.batch_size=8", "arm=mine"]
    done = call_here(tmp_path, monkeypatch, capfd, *run)
    assert done.code == 0, done
    assert sorted((tmp_path / "cache").rglob("*")) == before
    rows = (tmp_path / "outputs" / "default" / "mine" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 2


def test_help_says_what_it_takes(pretrain) -> None:
    done = pretrain("--help")
    assert done.code == 0
    assert "safelab pretrain" in done.out


def test_mistakes_are_those_of_train(pretrain, tmp_path: Path) -> None:
    done = pretrain("world.seed=-1")
    assert (done.code, done.err) == (2, "error: world.seed must be >= 0, got -1\n")
    assert not (tmp_path / "cache").exists()
