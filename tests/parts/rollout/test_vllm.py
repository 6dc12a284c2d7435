"""The adapter between the loop and vLLM, against a stand-in with vLLM's interface; no GPU, no vLLM."""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from safelab.errors import ConfigError, RunFailed
from safelab.maths.seeds import row_seeds
from safelab.plugins import build_option
from safelab.training import rollouts, stages
from safelab.training.rewards import score_rewards
from support import vllm_stand_in
from support.models import context, model_directory, tiny_policy
from support.runs import numbers, small, trained
from support.vllm_stand_in import LLM, NOISE

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}
OPTIONS = {
    "name": "vllm", "batch_size": 4, "samples_per_prompt": 1, "staleness": 0, "dynamic_sampling": 0,
    "max_new_tokens": 6, "sampling_temperature": 1.0, "memory_share": 0.3, "max_prompt_tokens": 16, "sleep": True,
    "devices": None,
}  # fmt: skip
PROMPTS = ["a b c", "d", "d", "e f"]


def built(policy: Any, **changes: Any) -> Any:
    return build_option("rollout", {**OPTIONS, **changes}, context(policy))


def move(policy: Any, by: float) -> None:
    """As an optimiser step would, in place."""
    with torch.no_grad():
        for name, weight in policy.module.named_parameters():
            if weight.requires_grad and "lora_A" not in name and weight.dim() > 1:
                weight.add_(by * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))


@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("place", [{}, {"sleep": False}, {"devices": [2]}], ids=["shared", "awake", "apart"])
@pytest.mark.parametrize("tied", [True, False])
def test_each_rollout_is_by_the_weights_of_that_moment(
    stand_in: list[LLM], adapter: dict[str, Any], place: dict[str, Any], tied: bool
) -> None:
    policy = tiny_policy(tied=tied, **adapter)
    sampler = built(policy, **place)
    prompts = policy.encode(PROMPTS, range(4))
    seen = []
    for step in range(3):
        rollout = sampler.sample(policy, prompts, row_seeds(0, step, rows=4))
        hidden = policy.model.hidden(prompts.ids, prompts.mask, rollout.ids, rollout.mask)
        logp_tok = policy.model.token_stats(hidden[:, :-1], rollout.ids).logp_tok
        assert torch.allclose(rollout.logp_rollout_tok[rollout.mask], logp_tok[rollout.mask] + NOISE, atol=1e-4)
        seen.append(logp_tok[0, 0].item())
        move(policy, 0.3)
    assert len(set(seen)) == 3
    (llm,) = stand_in
    assert llm.slept == ([2 if not adapter else 1] * 4 if not place else [])
    assert llm.forgotten == 3
    assert (llm.group is not None) == (place == {"devices": [2]} and not adapter)


def test_the_engine_is_told_what_it_must_know(stand_in: list[LLM]) -> None:
    built(tiny_policy(**LORA))
    (llm,) = stand_in
    assert llm.settings["model"] == str(model_directory(False))
    assert llm.settings["load_format"] == "auto"
    assert llm.settings["max_lora_rank"] == 8
    assert llm.settings["max_model_len"] == 22
    assert llm.settings["dtype"] == "float32"
    assert llm.settings["gpu_memory_utilization"] == 0.3
    assert llm.settings["generation_config"] == "vllm"
    # Only who hands tensors over needs what vLLM calls insecure.
    assert llm.environment["VLLM_ALLOW_INSECURE_SERIALIZATION"] == "0"


def test_full_weights_start_from_the_shape_alone(stand_in: list[LLM]) -> None:
    """So whatever is not handed over shows, and ``policy.path`` may be anything that the trainer can load."""
    policy = tiny_policy()
    sampler = built(policy)
    (llm,) = stand_in
    folder = Path(llm.settings["model"])
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert llm.settings["load_format"] == "dummy"
    assert not llm.settings["enable_lora"]
    del sampler, llm
    stand_in.clear()
    assert not folder.exists()


def test_bfloat16_is_asked_for_where_the_policy_has_it(stand_in: list[LLM]) -> None:
    policy = tiny_policy()
    policy.module.to(torch.bfloat16)
    sampler = built(policy)
    sampler.sample(policy, policy.encode(PROMPTS, range(4)), [1, 2, 3, 4])
    assert stand_in[0].settings["dtype"] == "bfloat16"


@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_requests_are_plain_sampling_with_the_policys_end_tokens_only(
    stand_in: list[LLM], adapter: dict[str, Any]
) -> None:
    policy = tiny_policy(**adapter)
    policy.ends = (5, 7)
    sampler = built(policy, sampling_temperature=0.7, max_new_tokens=12)
    rollout = sampler.sample(policy, policy.encode(PROMPTS, range(4)), row_seeds(0, 0, rows=4))
    (llm,) = stand_in
    assert [each.seed for each in llm.params[0]] == row_seeds(0, 0, rows=4)
    first = llm.params[0][0]
    assert (first.top_p, first.top_k, first.temperature, first.max_tokens) == (1.0, 0, 0.7, 12)
    assert (first.stop_token_ids, first.ignore_eos) == ([5, 7], True)
    ending = torch.isin(rollout.ids, torch.tensor([5, 7])) & rollout.mask
    # The end token belongs to the response, and is its last one.
    assert torch.equal(ending.any(dim=1), rollout.ended_seq)
    assert rollout.ended_seq.any()
    for row in ending.nonzero()[:, 0].tolist():
        assert ending[row].nonzero().flatten().tolist() == [int(rollout.mask[row].sum()) - 1]
    # A checkpoint's own end token, which is not among the policy's, is a token as any other.
    own = llm.model.config.eos_token_id
    assert ((rollout.ids[:, :-1] == own) & rollout.mask[:, 1:]).any(), "no response goes on behind it"


def test_an_adapter_lies_in_a_folder_until_the_next_one_does(stand_in: list[LLM]) -> None:
    policy = tiny_policy(**LORA)
    sampler = built(policy)
    for step in range(2):
        sampler.sample(policy, policy.encode(PROMPTS, range(4)), row_seeds(0, step, rows=4))
    first, second = stand_in[0].requests
    assert [first.lora_int_id, second.lora_int_id] == [1, 2]
    assert not Path(first.lora_path).exists()
    assert Path(second.lora_path).exists()
    del sampler
    stand_in.clear()
    assert not Path(second.lora_path).exists()


@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_greedy_responses(stand_in: list[LLM], adapter: dict[str, Any]) -> None:
    policy = tiny_policy(**adapter)
    sampler = built(policy)
    prompts = policy.encode(["a b c", "d", "e", "e f"], range(4))
    ids, mask = policy.generate(prompts, 6, seeds=None)
    found = sampler.greedy(policy, prompts)
    assert found.responses == policy.decode(prompts, ids, mask)
    assert torch.equal(found.ended_seq, policy.ended(ids, mask))


def test_a_cache_that_does_not_forget_ends_the_run(stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    sampler = built(policy)
    monkeypatch.setattr(LLM, "reset_prefix_cache", lambda self: False)
    with pytest.raises(RunFailed, match="vLLM must forget what older weights have read of the prompts, and could not"):
        sampler.sample(policy, policy.encode(PROMPTS, range(4)), [1, 2, 3, 4])


def test_without_vllm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(
        ConfigError, match=r"rollout\.name must be hf here, got vllm: .*pip install '\./safelab\[vllm\]'"
    ):
        built(tiny_policy())


@pytest.mark.parametrize(("version", "known"), [
    ("0.10.2", False), ("0.28.3", False), ("0.29.0", True), ("0.32.1+cu130", True),
    ("0.33.0rc1", False), ("1.0", False),
])  # fmt: skip
def test_a_version_whose_interface_is_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: str, known: bool
) -> None:
    vllm_stand_in.install(monkeypatch, version)
    if known:
        built(tiny_policy())
        return
    with pytest.raises(ConfigError, match=rf"rollout=vllm must have vllm>=0\.29,<0\.33, .*got {version}"):
        built(tiny_policy())


def test_a_trainer_on_another_kind_of_device_is_refused(stand_in: list[LLM]) -> None:
    elsewhere = replace(context(tiny_policy()), device=torch.device("cuda"))
    with pytest.raises(ConfigError, match=r"device must be cpu with rollout=vllm, .*got cuda: use rollout=hf"):
        build_option("rollout", OPTIONS, elsewhere)


def test_a_process_that_may_start_none_is_told_so(stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True))
    with pytest.raises(ConfigError, match=r"rollout must be hf in a process that may start none itself"):
        built(tiny_policy())


@pytest.mark.parametrize("temperature", [0.001, 0.0099])
def test_a_temperature_that_vllm_would_raise_is_refused(stand_in: list[LLM], temperature: float) -> None:
    with pytest.raises(ConfigError, match=rf"rollout\.sampling_temperature must be >= 0\.01, got {temperature}"):
        built(tiny_policy(), sampling_temperature=temperature)


def test_lora_over_an_adapter_is_refused(stand_in: list[LLM], tmp_path: Path) -> None:
    policy = tiny_policy(**LORA)
    policy.save(tmp_path)
    policy.module.peft_config["default"].base_model_name_or_path = str(tmp_path)
    with pytest.raises(ConfigError, match=r"policy\.path must be whole weights with rollout=vllm and LoRA"):
        built(policy)


def test_a_policy_that_is_no_model_of_transformers_is_refused(stand_in: list[LLM]) -> None:
    with pytest.raises(ConfigError, match=r"policy must train a model of transformers with rollout=vllm, got Linear"):
        built(SimpleNamespace(module=torch.nn.Linear(1, 1), ends=(1,)))


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_a_run_takes_its_ratios_to_the_engine(stand_in: list[LLM], tmp_path: Path, adapter: str) -> None:
    changes = [f"policy/adapter={adapter}", "rollout=vllm", "rollout.batch_size=8", "rollout.max_new_tokens=6"]
    config = small(tmp_path, *changes, "algorithm=ppo_matched", "updates=2", "policy.max_prompt_tokens=16")
    parts, _, rows = trained(config)
    assert rows[0]["kl/ref_token_exact"] == pytest.approx(0.0, abs=1e-6)
    assert rows[0]["kl/rollout_token_abs"] == pytest.approx(NOISE, abs=1e-4)
    # The same seed, the same responses.
    assert trained(config)[2][1]["reward/mean"] == rows[1]["reward/mean"]
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    gap_tok = scored.logp_rollout_tok - scored.logp_old_tok
    assert torch.allclose(gap_tok[rollout.mask], torch.tensor(NOISE), atol=1e-4)


ENGINE = ("rollout=vllm", "rollout.batch_size=8", "rollout.max_new_tokens=6", "policy.max_prompt_tokens=16",
          "algorithm=cispo", "objective.anchor=old", "updates=3", "optimizer.lr=1e-2")  # fmt: skip


@pytest.mark.slow
def test_a_correction_answers_the_engines_rounding(stand_in: list[LLM], tmp_path: Path) -> None:
    """All of the stand-in's tokens are NOISE nats too likely, so each counts exp(-NOISE) of itself."""
    rows = trained(small(tmp_path, *ENGINE, "correction=truncate"))[2]
    for row in rows:
        assert row["correction/weight_mean"] == pytest.approx(2.718281828**-NOISE, abs=1e-4)
        assert row["correction/corrected_share"] == 0.0
    masked = trained(small(tmp_path, *ENGINE, "correction=mask", "correction.low=0.99"))[2]
    assert [row["correction/corrected_share"] for row in masked] == [1.0] * 3
    assert [row["policy/grad_norm"] for row in masked] == [0.0] * 3


@pytest.mark.slow
@pytest.mark.parametrize("correction", ["truncate", "mask"])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_with_an_engine_that_equals_the_trainer_rows_are_those_without_a_correction(
    stand_in: list[LLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, correction: str, level: str
) -> None:
    exactly(monkeypatch)
    plain = trained(small(tmp_path, *ENGINE))[2]
    rows = trained(small(tmp_path, *ENGINE, f"correction={correction}", f"correction.level={level}"))[2]
    assert all((row["correction/weight_mean"], row["correction/corrected_share"]) == (1.0, 0.0) for row in rows)
    rows, plain = (numbers(found, drop=lambda name: name.startswith("correction/")) for found in (rows, plain))
    assert rows == plain
    assert plain[0]["kl/rollout_token_abs"] == 0.0


def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine say of its tokens, to the bit, what the trainer's scoring pass says."""
    score: Callable[..., Any] = stages.score_with_pass

    def scored(parts: Any, rollout: Any, *rest: Any, **keep: Any) -> Any:
        found, seen = score(parts, rollout, *rest, **keep)
        told = replace(rollout, logp_rollout_tok=found.logp_old_tok)
        return replace(found, rollout=told, logp_rollout_tok=found.logp_old_tok), seen

    monkeypatch.setattr(stages, "score_with_pass", scored)
