"""The adapter between the loop and vLLM, against a stand-in with vLLM's interface; no GPU, no vLLM."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from safelab.errors import ConfigError
from safelab.maths.seeds import row_seeds
from safelab.plugins import build_option
from safelab.training import stages
from support.models import context, model_directory, tiny_policy
from support.runs import small, trained

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}
OPTIONS = {
    "name": "vllm", "batch_size": 4, "samples_per_prompt": 1, "staleness": 0, "max_new_tokens": 6,
    "sampling_temperature": 1.0, "memory_share": 0.3, "max_prompt_tokens": 16,
}  # fmt: skip
NOISE = 0.05
"""Nats by which the stand-in's log-probabilities differ from the trainer's, as another engine's rounding would."""


@dataclass
class SamplingParams:
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    logprobs: int
    seed: int
    stop_token_ids: list[int]


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class Logprob:
    logprob: float


@dataclass
class Completion:
    token_ids: tuple[int, ...]
    logprobs: list[dict[int, Logprob]]


@dataclass
class RequestOutput:
    outputs: list[Completion]


class LLM:
    """Samples one request at a time, from the base model with the adapter that the request names."""

    made: list["LLM"] = []

    def __init__(self, model: str, **settings: Any) -> None:
        self.model, self.settings, self.requests, self.params = model, settings, [], []
        LLM.made.append(self)

    @torch.no_grad()
    def generate(self, prompts, params, *, lora_request, use_tqdm) -> list[RequestOutput]:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        self.requests.append(lora_request)
        self.params.append(params)
        base = AutoModelForCausalLM.from_pretrained(self.model)
        model = PeftModel.from_pretrained(base, lora_request.lora_path).eval()
        return [self.one(model, prompt["prompt_token_ids"], each) for prompt, each in zip(prompts, params, strict=True)]

    def one(self, model, tokens: list[int], params: SamplingParams) -> RequestOutput:
        draw = torch.Generator().manual_seed(params.seed)
        tokens, start = list(tokens), len(tokens)
        logprobs: list[dict[int, Logprob]] = []
        while len(tokens) < start + params.max_tokens:
            logits = model(input_ids=torch.tensor([tokens])).logits[0, -1]
            logp = torch.log_softmax(logits / (params.temperature or 1.0), dim=-1)
            token = int(torch.multinomial(logp.exp(), 1, generator=draw) if params.temperature else logp.argmax())
            tokens.append(token)
            logprobs.append({token: Logprob(float(logp[token]) + NOISE)})
            if token in params.stop_token_ids:
                break
        return RequestOutput([Completion(tuple(tokens[start:]), logprobs)])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[LLM]:
    library, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    library.LLM, library.SamplingParams, request.LoRARequest = LLM, SamplingParams, LoRARequest
    for module in (library, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    LLM.made = []
    return LLM.made


def test_without_vllm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"rollout\.name must be hf here, got vllm: .*pip install 'safelab\[vllm\]'"):
        build_option("rollout", OPTIONS, context())


def test_a_policy_without_an_adapter_is_refused(stand_in: list[LLM]) -> None:
    with pytest.raises(ConfigError, match=r"rollout=vllm must have a LoRA policy.*policy/adapter=lora"):
        build_option("rollout", OPTIONS, context(tiny_policy()))


def test_the_engine_is_told_what_it_must_know(stand_in: list[LLM]) -> None:
    build_option("rollout", OPTIONS, context(tiny_policy(**LORA)))
    (llm,) = stand_in
    assert llm.model == str(model_directory(False))
    assert llm.settings["max_lora_rank"] == 8
    assert llm.settings["max_model_len"] == 22
    assert llm.settings["logprobs_mode"] == "processed_logprobs"


def test_a_rollout_is_the_policys_and_carries_the_engines_log_probabilities(stand_in: list[LLM]) -> None:
    policy = tiny_policy(**LORA)
    sampler = build_option("rollout", OPTIONS, context(policy))
    prompts = policy.encode(["a b c", "d", "d", "e f"], range(4))
    for step in range(2):
        rollout = sampler.sample(policy, prompts, row_seeds(0, step, rows=4))
        hidden = policy.model.hidden(prompts.ids, prompts.mask, rollout.ids, rollout.mask)
        logp_tok = policy.model.token_stats(hidden[:, :-1], rollout.ids).logp_tok
        assert torch.allclose(rollout.logp_rollout_tok[rollout.mask], logp_tok[rollout.mask] + NOISE, atol=1e-4)
        assert (rollout.ids[rollout.mask] == 1).sum() == rollout.ended_seq.sum()
        with torch.no_grad():
            for name, weight in policy.module.named_parameters():
                if "lora_B" in name:
                    weight.add_(0.3)  # the next rollout is by these weights
    (llm,) = stand_in
    assert [request.lora_int_id for request in llm.requests] == [1, 2]
    assert not Path(llm.requests[0].lora_path).exists()
    assert [each.seed for each in llm.params[0]] == row_seeds(0, 0, rows=4)
    assert (llm.params[0][0].top_p, llm.params[0][0].top_k, llm.params[0][0].temperature) == (1.0, 0, 1.0)


def test_greedy_responses(stand_in: list[LLM]) -> None:
    policy = tiny_policy(**LORA)
    sampler = build_option("rollout", OPTIONS, context(policy))
    prompts = policy.encode(["a b c", "d", "e", "e f"], range(4))
    ids, mask = policy.generate(prompts, 6, seeds=None)
    found = sampler.greedy(policy, prompts)
    assert found.responses == policy.decode(prompts, ids, mask)
    assert torch.equal(found.ended_seq, policy.ended(ids, mask))


@pytest.mark.slow
def test_a_run_takes_its_ratios_to_the_engine(stand_in: list[LLM], tmp_path: Path) -> None:
    changes = ["policy/adapter=lora", "rollout=vllm", "rollout.batch_size=8", "rollout.max_new_tokens=6"]
    config = small(tmp_path, *changes, "algorithm=ppo_matched", "updates=2", "policy.max_prompt_tokens=16")
    parts, _, rows = trained(config)
    assert rows[0]["kl/ref_token_exact"] == pytest.approx(0.0, abs=1e-6)
    # The same seed, the same responses.
    assert trained(config)[2][1]["reward/mean"] == rows[1]["reward/mean"]
    rollout = stages.roll_out(parts, stages.draw_prompts(parts, 0), 0)
    scored = stages.score_tokens(parts, rollout, *stages.score_rewards(parts, rollout))
    gap_tok = scored.logp_rollout_tok - scored.logp_old_tok
    assert torch.allclose(gap_tok[rollout.mask], torch.tensor(NOISE), atol=1e-4)
