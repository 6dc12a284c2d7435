"""A LoRA checkpoint as the start of a further run: what it learnt is there, in start, reference and what is saved."""

import json
from pathlib import Path

import pytest
import torch

from safelab.errors import ConfigError
from safelab.parts.policy.causal_lm import CausalLm
from safelab.runlog.model_card import loading
from support.models import context, tiny_policy

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}
IDS = torch.tensor([[3, 4, 5, 9]])


def policy(path: Path, adapter=LORA, dtype: str = "float32"):
    return CausalLm(
        name="causal_lm", path=str(path), dtype=dtype, attention="sdpa", gradient_checkpointing=False, compile=False,
        prompt_template="plain", max_prompt_tokens=16, sampling_temperature=1.0, adapter=dict(adapter),
    ).build(context())  # fmt: skip


def logits(policy) -> torch.Tensor:
    with torch.no_grad():
        return policy._adapted.inner(input_ids=IDS).logits


def learnt(policy, directory: Path) -> Path:
    """The policy, moved as if it had been trained, and saved."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in policy.module.named_parameters():
            if "lora_" in name:
                weight.add_(0.2 * torch.randn(weight.shape, generator=draws))
    policy.save(directory)
    return directory


def test_stage_two_starts_where_stage_one_ended_and_measures_from_there(tmp_path: Path) -> None:
    first = tiny_policy(**LORA)
    plain = logits(first)
    path = learnt(first, tmp_path / "one")
    assert float((logits(first) - plain).abs().max()) > 0.1
    second = policy(path)
    assert torch.allclose(logits(second), logits(first), atol=1e-5)
    with torch.no_grad(), second._adapted.as_reference():
        assert torch.allclose(second._adapted.reference(input_ids=IDS).logits, logits(first), atol=1e-5)
    whole = policy(path, {"name": "none", "reference_dtype": None})
    assert torch.allclose(logits(whole), logits(first), atol=1e-5)
    assert all(weight.requires_grad for weight in whole.module.parameters())


@pytest.mark.filterwarnings("error")
def test_stages_are_made_and_saved_without_a_warning(tmp_path: Path) -> None:
    second = policy(learnt(tiny_policy(**LORA), tmp_path / "one"))
    learnt(policy(learnt(second, tmp_path / "two")), tmp_path / "three")


def test_the_cards_lines_load_stage_three_with_no_help_of_ours(tmp_path: Path) -> None:
    path = learnt(tiny_policy(**LORA), tmp_path / "one")
    second = policy(path)
    path = learnt(second, tmp_path / "two")
    assert json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tmp_path / "one")
    third = policy(path)
    assert torch.allclose(logits(third), logits(second), atol=1e-5)
    path = learnt(third, tmp_path / "three")
    lines = loading("peft", str(tmp_path / "two"))
    assert lines.count("merge_and_unload") == 2
    space: dict = {"DIRECTORY": str(path)}
    exec(lines, space)
    with torch.no_grad():
        assert torch.allclose(space["model"].eval()(input_ids=IDS).logits, logits(third), atol=1e-5)


def test_a_merge_is_rounded_once(tmp_path: Path) -> None:
    first = tiny_policy(**LORA)
    path = learnt(first, tmp_path / "one")
    merged = dict(policy(path, {"name": "none", "reference_dtype": None}).module.named_parameters())
    for name, weight in policy(path, {"name": "none", "reference_dtype": None}, "bfloat16").module.named_parameters():
        assert torch.equal(weight, merged[name].to(torch.bfloat16))


def test_a_base_that_is_gone_and_an_adapter_that_does_not_fit_are_told(tmp_path: Path) -> None:
    path = learnt(tiny_policy(**LORA), tmp_path / "one")
    file = path / "adapter_config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "base_model_name_or_path": str(tmp_path / "gone")}))
    with pytest.raises(ConfigError, match=r"policy\.path must be .* got '.*gone'.*it is the base of '.*one'"):
        policy(path)
    file.write_text(json.dumps({**said, "base_model_name_or_path": str(path)}))
    with pytest.raises(ConfigError, match="its adapter names itself as its base"):
        policy(path)
    file.write_text(json.dumps({**said, "target_modules": ["q_proj"]}))
    with pytest.raises(ConfigError, match=r"its adapter_config\.json and its adapter_model\.safetensors differ in"):
        policy(path)
    file.write_text(json.dumps({**said, "peft_type": "IA3", "feedforward_modules": []}))
    with pytest.raises(ConfigError, match="must be whole weights or a LoRA adapter"):
        policy(path)
