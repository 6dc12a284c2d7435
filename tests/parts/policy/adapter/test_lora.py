"""LoRA: one copy of the weights, a reference that stays, and an adapter that loads elsewhere."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from safelab.errors import ConfigError
from safelab.parts.policy.adapter.lora import Lora
from safelab.pretrained.lora import linear_layers
from support.architectures import write
from support.models import model_directory, tiny_policy
from support.runs import numbers, run, small, trained

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}


def lora(**changes):
    return tiny_policy(**{**LORA, **changes})


def sample(policy):
    prompts = policy.encode(["a b c", "d"], [0, 1])
    return prompts, *policy.generate(prompts, 6, seeds=[0, 1])


def moved(policy):
    with torch.no_grad():
        for name, weight in policy.module.named_parameters():
            if "lora_B" in name:
                weight.add_(0.3)
    return policy


def test_it_starts_as_the_model_itself_to_the_bit() -> None:
    policy, plain = lora(), tiny_policy()
    prompts, ids, mask = sample(plain)
    args = (prompts.ids, prompts.mask, ids, mask)
    assert torch.equal(policy.model.hidden(*args), plain.model.hidden(*args))
    assert torch.equal(policy.reference.hidden(*args), policy.model.hidden(*args))


def test_one_copy_of_the_weights_and_only_the_updates_train() -> None:
    policy = lora()
    assert policy.reference.module is policy.model.module
    trained_names = [name for name, weight in policy.module.named_parameters() if weight.requires_grad]
    assert trained_names
    assert all("lora_" in name for name in trained_names)
    # Seven projections in each of two layers, an A and a B each; the head is left alone.
    assert len(trained_names) == 2 * 2 * 7


def test_the_reference_is_the_model_with_the_adapter_off() -> None:
    policy, plain = moved(lora()), tiny_policy()
    prompts, ids, mask = sample(plain)
    args = (prompts.ids, prompts.mask, ids, mask)
    assert torch.equal(policy.reference.hidden(*args), plain.model.hidden(*args))
    assert not torch.allclose(policy.model.hidden(*args), plain.model.hidden(*args))
    # Reading the reference leaves the adapter on, and its weights trainable.
    assert any(weight.requires_grad for weight in policy.module.parameters())


def test_targets_choose_the_projections_and_a_wrong_one_is_named() -> None:
    policy = lora(targets=["q_proj", "v_proj"])
    assert sum(weight.requires_grad for weight in policy.module.parameters()) == 2 * 2 * 2
    with pytest.raises(ConfigError, match=r"policy\.adapter\.targets must name linear layers .*q_proj"):
        lora(targets=["query"])


def test_the_adapter_comes_back_to_the_bit_and_loads_elsewhere(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    policy, other = moved(lora()), lora()
    policy.save(tmp_path)
    other.restore(tmp_path)
    mine, theirs = dict(policy.module.named_parameters()), dict(other.module.named_parameters())
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    base = AutoModelForCausalLM.from_pretrained(model_directory())
    loaded = PeftModel.from_pretrained(base, tmp_path).eval()
    ids = torch.tensor([[3, 4, 5]])
    assert torch.allclose(loaded(input_ids=ids).logits, policy.module(input_ids=ids).logits, atol=1e-6)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["safe", "ppo"])
def test_a_run_starts_sane_learns_and_moves_no_frozen_weight(algorithm: str, tmp_path: Path) -> None:
    overrides = [f"algorithm={algorithm}", "policy/adapter=lora", "updates=15", "optimizer.lr=1e-2"]
    parts, _, rows = trained(small(tmp_path, *overrides, "rollout.batch_size=32"))
    assert rows[0]["kl/ref_token_exact"] == pytest.approx(0.0, abs=1e-6)
    assert rows[-1]["kl/ref_token_exact"] > 1e-3
    assert rows[-1]["reward/mean"] > rows[0]["reward/mean"] + 0.2
    start = dict(tiny_policy().module.named_parameters())
    for name, weight in parts.policy.model.module.named_parameters():
        if "lora_" not in name:
            assert torch.equal(weight, start[name.replace(".base_layer", "")])


@pytest.mark.slow
def test_a_resumed_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    def config(updates: int, where: str) -> dict:
        overrides = ["algorithm=safe", "policy/adapter=lora", f"updates={updates}", "checkpoint.every=2"]
        return {**small(tmp_path, *overrides), "output_dir": str(tmp_path / where)}

    _, whole = run(config(4, "whole"))
    run(config(2, "parts"))
    _, resumed = run(config(4, "parts"))
    assert numbers(resumed) == numbers(whole)


def test_a_misspelt_target_beside_a_good_one_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"targets must name linear layers .* got 'k_prj': did you mean 'k_proj'\?"):
        lora(targets=["q_proj", "k_prj"])


def test_the_layers_of_gpt2_are_linear_ones_too(tmp_path: Path) -> None:
    path = write("GPT2Config", tmp_path)
    model = AutoModelForCausalLM.from_pretrained(path)
    assert linear_layers(model) == {"c_attn", "c_fc", "c_proj", "lm_head"}
    adapted = Lora(name="lora", rank=4, alpha=8.0, targets=["c_attn"]).adapt(model, 0)
    assert sum(weight.requires_grad for weight in adapted.trained.parameters()) == 2 * 2
    with pytest.raises(ConfigError, match=r"got 'q_proj': .*c_attn"):
        Lora(name="lora", rank=4, alpha=8.0, targets=["q_proj"]).adapt(AutoModelForCausalLM.from_pretrained(path), 0)
