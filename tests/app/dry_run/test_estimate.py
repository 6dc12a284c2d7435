"""What a dry run foretells is what a run has: counts exactly, activations within 15 %."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from safelab.app.cli import main
from safelab.app.config.compose import opened
from safelab.app.dry_run.estimate import batches, need
from safelab.app.dry_run.lengths import Lengths
from safelab.app.sweep.expand import jobs_of
from safelab.errors import ConfigError
from safelab.results.published.read import read
from support.architectures import write
from support.models import model_directory, tiny_policy
from support.runs import resolved, small, trained

LONGEST = Lengths(prompt=32, response=32, said="the longest allowed")


def kept_by(policy, rows: int, prompt: int, response: int) -> int:
    """Bytes that autograd keeps of a real pass, each storage once, weights not counted."""
    weights = {weight.untyped_storage().data_ptr() for weight in policy.module.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage, storage.nbytes())
        return tensor

    # Neighbours have different prompts: those that share one read it once.
    ids = (torch.arange(rows) % 2)[:, None].expand(rows, prompt + response)
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        policy.model.hidden(ids[:, :prompt], mask[:, :prompt], ids[:, prompt:], mask[:, prompt:])
    return sum(size for _, size in kept.values())


def test_activations_are_those_of_a_real_pass() -> None:
    config = resolved(
        "policy=local", f"policy.path={model_directory()}", "policy.max_prompt_tokens=24",
        "data=text", "data.path=x", "reward=released_heuristic", "rollout.batch_size=32", "rollout.max_new_tokens=24",
    )  # fmt: skip
    found = need(config, Lengths(prompt=24, response=24, said=""))
    policy = tiny_policy()
    assert found.parameters == sum(weight.numel() for weight in policy.module.parameters())
    assert found.trained == found.parameters
    assert found.weights == 2 * 4 * found.parameters
    assert found.activations == pytest.approx(kept_by(policy, 32, 24, 24), rel=0.15)


def test_the_papers_run_has_the_published_counts_and_the_command_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "+experiment=paper_main", "dry_run=true", f"output_dir={tmp_path / 'out'}"]) == 0
    said = capsys.readouterr().out
    lines = [line.rsplit(maxsplit=1) for line in said[said.index("\nbatches") :].splitlines() if line.startswith("  ")]
    found = {name.strip(): float(value.replace(",", "")) for name, value in lines}
    assert found["parameters"] == 3_085_938_688  # the model's card
    assert found["of these trained"] == 239_468_544  # 7 projections, rank 128: sum of 128 (in + out) over 36 layers
    assert 0 < found["peak of the tensors"] < 40
    assert found["optimiser steps in all"] == 4_000
    assert found["responses in all"] == 32_000
    assert "fidelity" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("asked", "said"), [
    ([], "30% of the GPU, while it writes; its weights 0.92"),
    (["rollout.sleep=false", "rollout.memory_share=0.45"],
     "45% of the GPU, all the time (rollout.sleep=false); its weights 0.92"),
    (["rollout.devices=[1]", "rollout.memory_share=0.9"], "90% of that GPU, all the time; its weights 0.92"),
    (["rollout.devices=[1,2]"], "30% of each GPU, all the time; its weights 0.46"),
])  # fmt: skip
def test_another_engine_is_told_beside_the_peak_and_takes_the_cache_out_of_it(
    asked: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 494,032,768 parameters in bfloat16, as the model's card has them."""
    command = ["train", "policy=qwen2_5_0_5b", "world=small", f"output_dir={tmp_path}", "dry_run=true"]
    assert main([*command, "rollout=vllm", *asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = {"rollout.devices=[1]": "on GPU 1", "rollout.devices=[1,2]": "on GPU 1, 2"}
    told = next((place[one] for one in asked if one in place), "beside that peak")
    assert f"  {f'the engine, {told}'.ljust(34)} {said}" in lines
    side_by_side = "rollout.staleness=1 lets them work side by side" in " ".join(lines)
    assert side_by_side == (told != "beside that peak")
    assert f"  {'key-value cache (sampling)'.ljust(34)} 0.00" in lines
    absent = "note: vLLM is not installed here: a run would be refused; pip install"
    assert (absent in lines) == (find_spec("vllm") is None)
    assert main([*command, "rollout=hf"]) == 0
    without = capsys.readouterr().out
    assert "the engine" not in without
    assert "vLLM" not in without


def test_the_batch_table_is_what_a_run_does(tmp_path: Path) -> None:
    config = small(tmp_path, "optimizer.minibatches=4", "optimizer.micro_batch_size=1", "optimizer.epochs=2")
    table = batches(config)
    _, state, _ = trained(config)
    steps = next(iter(state.optimizers.policy.state.values()))["step"]
    assert int(steps) == table["optimiser steps in all"] == 24
    assert state.counters.episodes == table["responses in all"] == 24


def test_an_unknown_shape_is_refused_and_a_sweep_is_estimated_arm_by_arm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = ["policy=local", f"policy.path={tmp_path}", "data=text", "data.path=x", "reward=released_heuristic"]
    assert main(["train", "dry_run=true", *local]) == 2
    assert "dry_run must know the model's shape" in capsys.readouterr().err
    capsys.readouterr()
    assert main(["train", "-m", "dry_run=true", "algorithm=ppo,safe", "seed=0,1"]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("===")] == [
        "=== ppo, seeds 0, 1",
        "=== safe, seeds 0, 1",
    ]
    assert shown.count("memory, GiB") == 2
    _, second = shown.split("=== safe, seeds 0, 1\n")
    assert second.startswith("configuration of ppo, but for\n")
    told = second.partition("\nbatches\n")[0]
    assert "\n  controller.gate.name=entropy\n" in told
    assert "optimizer.lr" not in told, "alike in both"


def test_a_value_network_is_shown_and_its_shape_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "+recipe=trl_tldr_1b", "ranks=2", "dry_run=true", f"output_dir={tmp_path}"]
    assert main(command) == 0
    said = capsys.readouterr().out
    lines = [line.rsplit(maxsplit=1) for line in said[said.index("\nbatches") :].splitlines() if line.startswith("  ")]
    told = {name.strip(): value for name, value in lines}
    # Pythia-1B without the table of the language model's head, 50,304 x 2,048, and with a score of 2,048.
    assert told["parameters, all trained"] == f"{1_011_781_632 - 50_304 * 2_048 + 2_048:,}"
    assert float(told["value network, with its averages"]) == pytest.approx(3 * 908_761_088 * 4 / 2**30, abs=0.01)
    assert "without the reward model" in " ".join(said.split())
    assert main([*command, "critic.path=some/other"]) == 2
    assert "critic.path must be a directory or hub name with a model's config.json" in capsys.readouterr().err


def test_a_dry_run_refuses_more_tokens_than_positions_and_knows_gpt2(tmp_path: Path) -> None:
    path = write("GPT2Config", tmp_path)
    overrides = ["policy=local", f"policy.path={path}", "data=text", "data.path=x", "reward=released_heuristic"]
    fitting = need(resolved(*overrides, "policy.max_prompt_tokens=32", "rollout.max_new_tokens=32"), LONGEST)
    assert fitting.cache == 2 * 2 * 32 * 4 * 64 * fitting_rows()
    with pytest.raises(ConfigError, match=r"at most the policy's 64 positions, got 512 \+ 32"):
        need(resolved(*overrides, "rollout.max_new_tokens=32"), LONGEST)


def fitting_rows() -> int:
    return int(resolved()["rollout"]["batch_size"])


@pytest.mark.parametrize(("paper", "arm", "smaller"), [
    ("n_plus_tldr_1b", "ppo", ["ranks=2"]),
    ("n_plus_tldr_1b", "ppo", ["policy.dtype=bfloat16"]),
    ("trl_tldr_1b", "ppo", ["ranks=2"]),
    ("dar_main", "dar", ["ranks=2", "policy.sharding=layers"]),
    ("async_rlhf_tldr_410m", "ppo_n16", ["ranks=4"]),
    ("coste_alpacafarm", "bon_mean", ["optimizer.micro_batch_size=16"]),
])  # fmt: skip
def test_a_paper_that_needs_more_than_one_gpu_says_how_much_and_what_fits(
    paper: str, arm: str, smaller: list[str]
) -> None:
    page = " ".join(read(paper).about.departures)
    with opened() as hydra:
        (whole,) = jobs_of(hydra, [f"+sweep={paper}", f"arms=[{arm}]", "seed=0"])
        (cut,) = jobs_of(hydra, [f"+sweep={paper}", f"arms=[{arm}]", "seed=0", *smaller])
    too_much, fits = (need(job.config).peak for job in (whole, cut))
    assert fits < 80e9 < too_much
    assert f"{too_much / 2**30:.1f} GiB" in page
    assert f"{fits / 2**30:.1f} GiB" in page
    assert all(option in page for option in smaller)
