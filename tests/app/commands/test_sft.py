"""``safelab sft``, ``reward-model`` and ``value-model`` as a user calls them; what they make serves the next stage."""

import json
from pathlib import Path

import pytest

from support.commands import call_here
from support.models import model_directory
from support.pairs import write_pairs


@pytest.fixture
def call(tmp_path: Path, monkeypatch, capfd):
    write_pairs(tmp_path / "pairs.jsonl.gz", 80)

    def act(command: str, *arguments: str):
        given = ["pairs.path=pairs.jsonl.gz", "pairs.held_out=16", "lr=0.01", "batch_size=8", *arguments]
        return call_here(tmp_path, monkeypatch, capfd, command, *given)

    return act


def test_from_base_model_to_rlhf_to_a_look_at_it(call, tmp_path: Path, monkeypatch, capfd) -> None:
    done = call("sft", f"model={model_directory()}", "output=sft")
    assert done.code == 0, done
    assert "loss held out" in done.out
    assert "step 8 of 8" in done.err
    done = call("reward-model", "model=sft", "output=rm")
    assert done.code == 0, done
    record = json.loads((tmp_path / "rm" / "training.json").read_text())
    assert record["after"]["accuracy_held_out"] > 0.7
    assert (record["pairs"], record["pairs_held_out"]) == (64, 16)
    assert str(record["config"]["lr"]) in (tmp_path / "rm" / "README.md").read_text()
    assert len((tmp_path / "rm" / "steps.jsonl").read_text().splitlines()) == 8

    train = [
        "train", "policy=local", "policy.path=sft", "reward=sequence_classifier", "reward.path=rm",
        "data=hh_rlhf", "data.path=pairs.jsonl.gz", "data.held_out=16", "rollout.batch_size=8",
        "rollout.max_new_tokens=4", "updates=2", "arm=all",
    ]  # fmt: skip
    done = call_here(tmp_path, monkeypatch, capfd, *train)
    assert done.code == 0, done
    done = call_here(tmp_path, monkeypatch, capfd, "evaluate", "outputs/default/all/seed_0", "--count", "16")
    assert done.code == 0, done
    assert "16 held-out prompts" in done.out


@pytest.mark.slow
def test_the_readmes_five_commands_by_lora_and_the_last_of_them_from_another_folder(
    call, tmp_path: Path, monkeypatch, capfd
) -> None:
    there = tmp_path / "elsewhere"
    there.mkdir()
    lora = ["adapter=lora", "adapter.rank=4", "gradient_checkpointing=true"]
    assert call("sft", f"model={model_directory()}", "output=sft", *lora).code == 0
    assert call("reward-model", "model=sft", "output=rm", *lora).code == 0
    assert call("value-model", "model=sft", "output=vm", *lora).code == 0
    assert json.loads((tmp_path / "rm" / "training.json").read_text())["after"]["accuracy_held_out"] > 0.7
    for name in ("sft", "rm", "vm"):
        assert not (tmp_path / name / "model.safetensors").exists()
        base = json.loads((tmp_path / name / "adapter_config.json").read_text())["base_model_name_or_path"]
        assert Path(base).is_absolute()
    data = [f"data.path={tmp_path / 'pairs.jsonl.gz'}", "data=hh_rlhf", "data.held_out=16"]
    train = [
        "train", "policy=local", "policy/adapter=lora", "policy.adapter.rank=4", f"policy.path={tmp_path / 'sft'}",
        *data, "rollout.batch_size=8", "rollout.max_new_tokens=4", "updates=2",
    ]  # fmt: skip
    reward = ["reward=sequence_classifier", f"reward.path={tmp_path / 'rm'}"]
    done = call_here(tmp_path, monkeypatch, capfd, *train, *reward, "algorithm=safe", "arm=safe")
    assert done.code == 0, done
    run = str(tmp_path / "outputs" / "default" / "safe" / "seed_0")
    done = call_here(there, monkeypatch, capfd, "evaluate", run, "--count", "16")
    assert done.code == 0, done
    done = call_here(there, monkeypatch, capfd, "generate", run, "a b", "--greedy")
    assert done.code == 0, done
    assert done.out.startswith("prompt: a b\nanswer: ")
    assert done.made == []
    value = ["algorithm=dvpo", f"advantage.path={tmp_path / 'vm'}", "arm=dvpo"]
    done = call_here(tmp_path, monkeypatch, capfd, *train, *reward, *value)
    assert done.code == 0, done


def test_a_value_model_takes_the_critics_place(call, tmp_path: Path, monkeypatch, capfd) -> None:
    done = call("value-model", f"model={model_directory()}", "output=vm", "epochs=4")
    assert done.code == 0, done
    record = json.loads((tmp_path / "vm" / "training.json").read_text())
    assert record["before"]["accuracy_last_held_out"] == 0.5
    assert record["before"]["loss_held_out"] == 0.5
    assert record["after"]["accuracy_last_held_out"] > 0.7
    train = [
        "train", "algorithm=dvpo", "policy=local", f"policy.path={model_directory()}", "advantage.path=vm",
        "reward=function", "reward.name='support.runs:share_of_good'", "data=hh_rlhf", "data.path=pairs.jsonl.gz",
        "rollout.batch_size=8", "rollout.max_new_tokens=4", "updates=2",
    ]  # fmt: skip
    done = call_here(tmp_path, monkeypatch, capfd, *train)
    assert done.code == 0, done


def test_the_same_command_makes_the_same_model(call, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert call("reward-model", f"model={model_directory()}", f"output={name}", "pairs.limit=40").code == 0
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("command", ["sft", "reward-model", "value-model"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["output=x"], "model must be given, it has no default: add model=..."),
        (["model=x", "output=."], "output must not exist yet, got ."),
        (
            ["model=nowhere/at/all", "output=x"],
            "model must be a path that exists or a name on the hub, got '",
        ),
        (["model=x", "output=x", "lr=-1"], "lr must be > 0, got -1"),
        (["model=x", "output=x", "epoch=2"], "did you mean 'epochs'?"),
        (["model=x", "output=x", "pairs.path=none.gz"], "pairs.path must be a file of HH-RLHF"),
        (["model=x", "output=x", "pairs.held_out=80"], "got 80 records with pairs.held_out=80"),
        (["model=x", "output=x", "-m"], "makes one model"),
    ],
)
def test_a_mistake(call, tmp_path: Path, command: str, arguments: list[str], said: str) -> None:
    done = call(command, *arguments)
    assert done.code == 2, done
    assert said in done.err
    assert done.err.count("error:") == 1
    assert done.made == ["pairs.jsonl.gz"]


@pytest.mark.parametrize("command", ["sft", "reward-model", "value-model"])
def test_help(call, command: str) -> None:
    done = call(command, "--help")
    assert done.code == 0
    assert f"usage: safelab {command}" in done.out


def test_a_chat_template_that_is_not_there_is_refused(call) -> None:
    done = call("reward-model", f"model={model_directory()}", "output=x", "template=hh_chat")
    assert done.code == 2
    assert "has no chat template" in done.err


def test_a_proxy_learns_what_a_gold_model_prefers_and_says_so(call, tmp_path: Path) -> None:
    assert call("reward-model", f"model={model_directory()}", "output=gold").code == 0
    proxy = ["output=proxy", "labels.path=gold", "labels.noise=0.1", "pairs.learn_from=32"]
    done = call("reward-model", f"model={model_directory()}", *proxy)
    assert done.code == 0, done
    record = json.loads((tmp_path / "proxy" / "training.json").read_text())
    assert (record["pairs"], record["pairs_held_out"]) == (32, 16)
    assert "the model prefers the other answer in" in done.err
    assert f"agreement with {tmp_path / 'gold'}, which labelled the pairs kept back" in done.out
    assert "prefers, on both sides" in (tmp_path / "proxy" / "README.md").read_text()
