"""What is foretold against real tensors: each part against what is there, the peak against what was held."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DynamicCache

from safelab.app.dry_run.estimate import batches, need
from safelab.app.dry_run.lengths import Lengths
from safelab.app.dry_run.memory import Need, Pass, widest_pass
from safelab.app.dry_run.value_network import NONE
from safelab.training.rollouts import draw_prompts
from scripts.bench import memory
from support.runs import parts_of, small, trained

LORA = ("policy/adapter=lora", "policy.adapter.rank=4")


def case(*overrides: str, **sizes: Any) -> memory.Case:
    shape = {"width": 64, "layers": 3, "vocabulary": 8192, "batch": 8, "prompt": 32, "response": 48, **sizes}
    return memory.Case(family="llama", overrides=overrides, **shape)


# What is at its most where a case peaks. Sampling is not among them: at a toy's size the first pass over many prompts
# takes more than the cache that it leaves, and is not foretold; the cache itself is tested below.
CASES = {
    "micro-batches": (case("optimizer.micro_batch_size=4"), "backward"),
    "lora": (case(*LORA), "backward"),
    "checkpointing": (case(*LORA, "policy.gradient_checkpointing=true", "algorithm=ppo"), "backward"),
    "gradient penalty": (case("optimizer.gradient_penalty.coef=0.01"), "backward"),
    "moving reference": (case("controller/reference=moving", "controller/route=loss_topk", "controller.route.k=32",
                              "controller/penalty=linear"), "backward"),
    "step": (case(width=128, layers=4, vocabulary=2048, batch=2, prompt=16, response=4), "step"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "most"), CASES.values(), ids=CASES)
def test_the_peak_of_a_run_is_within_15_percent(made: memory.Case, most: str, tmp_path: Path) -> None:
    memory.make_model(tmp_path, made)
    told = need(memory.config_of(tmp_path, made))
    sizes = {"backward": told.backward, "step": 2 * told.gradients, "sampling": told.cache}
    assert max(sizes, key=lambda name: sizes[name]) == most
    found = memory.measure(tmp_path, made, "measured")
    assert found["foretold"] == pytest.approx(found["measured"], rel=0.15)


@pytest.mark.parametrize("further", [(), ("optimizer.micro_batch_size=4",)], ids=["one pass", "micro-batches"])
def test_the_peak_with_a_value_network_is_within_15_percent(further: tuple[str, ...], tmp_path: Path) -> None:
    made = case("algorithm=ppo", "critic=value_model", f"critic.path={tmp_path / 'reward'}", *further)
    memory.make_model(tmp_path, made)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=1)
    model.save_pretrained(tmp_path / "reward")
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "reward")
    found = memory.measure(tmp_path, made, "measured")
    assert found["foretold"] == pytest.approx(found["measured"], rel=0.15)


def test_a_value_networks_weights_averages_and_gradients_are_those_of_a_run(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=ppo", "critic=value_model", "updates=1")
    told = need(config)
    parts, state, _ = trained(config)
    weights = [*parts.critic.module.parameters()]
    assert told.value.parameters == sum(weight.numel() for weight in weights)
    assert told.value.multiplied == told.value.parameters - 12 * 16  # the table of 12 words
    assert told.value.weights == told.value.gradients == bytes_of(weights)
    slots = [slot for slots in state.optimizers.critic.state.values() for slot in slots.values()]
    assert told.value.averages == bytes_of(slot for slot in slots if isinstance(slot, Tensor) and slot.ndim > 0)
    without = need(small(tmp_path, "algorithm=ppo", "updates=1"))
    assert told.held == without.held + told.value.weights + told.value.averages
    assert without.value == NONE


def bytes_of(tensors: Any) -> int:
    """Each storage once."""
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


@pytest.fixture(params=[(), LORA], ids=["full", "lora"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Need, dict[str, Any]]:
    config = small(tmp_path, "algorithm=rloo", "updates=1", *request.param)
    return need(config), config


def test_weights_averages_and_gradients_are_those_of_a_run(run: tuple[Need, dict[str, Any]]) -> None:
    told, config = run
    parts, state, _ = trained(config)
    mine = list(parts.policy.module.parameters())
    learning = [weight for weight in mine if weight.requires_grad]
    assert told.trained == sum(weight.numel() for weight in learning)
    assert told.weights == bytes_of([*mine, *parts.policy.reference.module.parameters()])
    slots = [slot for slots in state.optimizers.policy.state.values() for slot in slots.values()]
    assert told.averages == bytes_of(slot for slot in slots if isinstance(slot, Tensor) and slot.ndim > 0)
    for weight in learning:
        weight.grad = None
    sum(weight.sum() for weight in learning).backward()
    assert told.gradients == bytes_of(weight.grad for weight in learning)


def test_the_cache_is_that_of_a_real_one(run: tuple[Need, dict[str, Any]]) -> None:
    told, config = run
    parts = parts_of(config)
    module, rows = parts.policy.module, config["rollout"]["batch_size"]
    tokens = draw_prompts(parts, 0).ids.shape[1]
    assert tokens < config["policy"]["max_prompt_tokens"]
    tokens += config["rollout"]["max_new_tokens"]
    cache = DynamicCache(config=module.config)
    with torch.no_grad():
        module(input_ids=torch.zeros(rows, tokens, dtype=torch.long), past_key_values=cache, use_cache=True)
    assert told.cache == sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


def test_in_pieces_and_with_checkpointing_less_is_kept(tmp_path: Path) -> None:
    """Half the responses at a time keep half the activations; checkpointing keeps one layer's beside the inputs."""
    whole, half, again = (
        need(small(tmp_path, "rollout.batch_size=8", "policy.packing=none", *words))
        for words in ((), ("optimizer.micro_batch_size=4",), ("policy.gradient_checkpointing=true",))
    )
    assert half.activations == pytest.approx(whole.activations / 2, rel=0.01)
    assert again.activations < whole.activations / 2
    assert again.recomputed == pytest.approx(whole.activations / 2, rel=0.01)  # of two layers


RAGGED = Lengths(prompt=20, response=5, said="", rollouts=((1, 20, 3, 2), (5, 5, 5, 5)))


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ((), Pass(4, 46, 1)),  # 20 + 3 + 2 + 1 and four responses
        (("policy.packing=none",), Pass(4, 100, 1)),
        (("critic.read_at=last_position",), Pass(4, 100, 1)),  # which reads what stands on padding
        (("optimizer.micro_batch_size=2",), Pass(2, 33, 2)),  # 25 + 8, should the longest meet
        (("optimizer.micro_batch_tokens=21",), Pass(3, 25, 2)),  # 25 alone, then 8 + 7 + 6; 10 + 10 twice
        (("optimizer.micro_batch_tokens=21", "policy.packing=none"), Pass(3, 75, 2)),
    ],
)
def test_a_pass_without_padding_holds_tokens(overrides: tuple[str, ...], found: Pass, tmp_path: Path) -> None:
    words = ("rollout.batch_size=4", "policy.packing=auto", *overrides)
    config = small(tmp_path, *words)
    assert widest_pass(config, batches(config), RAGGED) == found
