"""Updates cut down to their greedy rank: the weights, the optimiser, the run that goes on, the saved adapter."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from safelab.app.config.build import problems
from safelab.parts.policy.adapter.adaptive_lora import AdaptiveLora, factors
from support.architectures import write
from support.models import model_directory, tiny_policy
from support.pairs import offline
from support.ranks import on_ranks
from support.runs import numbers, resolved, run, small, trained

ADAPTIVE = {"name": "adaptive_lora", "rank": 4, "alpha": 8.0, "targets": None, "mass_share": 0.75, "every": 3}
OVERRIDES = ("policy/adapter=adaptive_lora", "policy.adapter.rank=4", "policy.adapter.every=2", "optimizer.lr=1e-2")


def stepped(**changes: Any) -> tuple[Any, torch.optim.Optimizer]:
    """A policy whose updates are not zero, and an optimiser that remembers their gradients."""
    policy = tiny_policy(**{**ADAPTIVE, **changes})
    weights = [weight for weight in policy.module.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.1)
    drawn = torch.Generator().manual_seed(5)
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=drawn)
        optimizer.step()
    return policy, optimizer


def products(policy: Any) -> dict[str, torch.Tensor]:
    return {name: (b.detach().double() @ a.detach().double()) for name, (b, a) in factors(policy.module).items()}


def test_each_update_becomes_the_truncated_svd_of_the_whole_matrix() -> None:
    policy, optimizer = stepped()
    before = products(policy)
    metrics = policy.after_update(2, optimizer)
    after, ranks, shares = products(policy), [], []
    for name, whole in before.items():
        u, singular, vh = torch.linalg.svd(whole, full_matrices=False)
        shares_of = singular.cumsum(0) / singular.sum()
        rank = max(1, int((shares_of[:4] <= 0.75).sum()))
        torch.testing.assert_close(after[name], u[:, :rank] * singular[:rank] @ vh[:rank], atol=1e-5, rtol=1e-5)
        ranks.append(rank)
        shares.append(float(shares_of[rank - 1]))
    assert len(ranks) == 2 * 7
    assert metrics == {
        "adapter/rank_mean": pytest.approx(sum(ranks) / len(ranks)),
        "adapter/rank_min": min(ranks),
        "adapter/rank_max": max(ranks),
        "adapter/mass_kept": pytest.approx(sum(shares) / len(shares), abs=1e-6),
    }


def test_the_optimiser_forgets_and_begins_again() -> None:
    policy, optimizer = stepped()
    assert optimizer.state
    policy.after_update(2, optimizer)
    assert not optimizer.state
    weight = next(weight for weight in policy.module.parameters() if weight.requires_grad)
    for each in policy.module.parameters():
        each.grad = torch.ones_like(each) if each.requires_grad else None
    optimizer.step()
    assert optimizer.state[weight]["step"] == 1


def test_between_projections_nothing_happens() -> None:
    policy, optimizer = stepped()
    before, remembered = products(policy), len(optimizer.state)
    for update in (0, 1, 3, 4):
        assert policy.after_update(update, optimizer) == {}
    assert all(torch.equal(before[name], after) for name, after in products(policy).items())
    assert len(optimizer.state) == remembered


def test_what_was_cut_off_adds_nothing_but_can_learn_again() -> None:
    policy, optimizer = stepped(mass_share=0.3)
    metrics = policy.after_update(2, optimizer)
    assert metrics["adapter/rank_max"] == 1
    for b, a in factors(policy.module).values():
        assert b[:, 1:].abs().sum() == 0
        # Drawn as LoRA's A: even within 1 / sqrt(inputs).
        assert 0.5 < float(a[1:].detach().abs().max()) * a.shape[1] ** 0.5 <= 1
    optimizer.zero_grad(set_to_none=True)
    policy.module(input_ids=torch.tensor([[3, 4, 5]])).logits.square().sum().backward()
    assert all(b.grad is not None and (b.grad[:, 1:].norm(dim=0) > 0).all() for b, _ in factors(policy.module).values())
    optimizer.step()
    optimizer.step()
    assert min(torch.linalg.matrix_rank(product) for product in products(policy).values()) > 1


def test_the_spare_rows_depend_on_seed_and_update_alone() -> None:
    def spare(update: int) -> torch.Tensor:
        policy, optimizer = stepped(mass_share=0.3)
        policy.after_update(update, optimizer)
        return torch.cat([a[1:].detach().flatten() for _, a in factors(policy.module).values()])

    assert torch.equal(spare(2), spare(2))
    assert not torch.equal(spare(2), spare(5))
    rows = spare(2).view(-1)
    assert len(rows.unique()) > 0.99 * len(rows), "projections have rows of their own"


def test_a_projection_that_never_comes_is_lora_to_the_bit(tmp_path: Path) -> None:
    rows = trained(small(tmp_path, *OVERRIDES, "policy.adapter.every=100"))[2]
    lora = trained(small(tmp_path, "policy/adapter=lora", "policy.adapter.rank=4", "optimizer.lr=1e-2"))[2]
    assert numbers(rows) == numbers(lora)
    assert all("adapter/rank_mean" not in row for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [3, 4])
def test_a_resumed_run_goes_on_to_the_bit_with_the_same_optimiser(tmp_path: Path, cut: int) -> None:
    """4 lies just behind a projection, so that the checkpoint holds an optimiser that remembers nothing."""

    def config(updates: int, where: str) -> dict[str, Any]:
        overrides = ["algorithm=ppo_matched", *OVERRIDES, f"updates={updates}", "checkpoint.every=1"]
        return {**small(tmp_path, *overrides), "output_dir": str(tmp_path / where)}

    outcome, whole = run(config(6, "whole"))
    run(config(cut, "parts"))
    other, resumed = run(config(6, "parts"))
    assert numbers(resumed) == numbers(whole)
    assert [row["update"] for row in whole if "adapter/rank_mean" in row] == [1, 3, 5]
    for update in (5, 6):
        ours, theirs = (
            {**load_file(path / "tensors.safetensors"), **load_file(path / "policy" / "adapter_model.safetensors")}
            for path in (each.directory / "checkpoints" / f"update_{update:06d}" for each in (outcome, other))
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        forgotten = not any(name.startswith("optimizer.policy.") for name in ours)
        assert forgotten == (update == 6)


def test_offline_runs_have_it_too(tmp_path: Path) -> None:
    rows = trained(offline(tmp_path, "algorithm=dpo", *OVERRIDES, "updates=4"))[2]
    assert [row["update"] for row in rows if "adapter/rank_mean" in row] == [1, 3]
    assert rows[-1]["preference/loss"] < rows[0]["preference/loss"]


def rows_of(config: dict[str, Any], ranks: Any) -> list[dict[str, Any]]:
    return numbers(trained(config, ranks)[2])


@pytest.mark.slow
def test_ranks_make_the_same_projection(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=ppo_matched", *OVERRIDES, "updates=4")
    alone = rows_of({**config, "optimizer": {**config["optimizer"], "micro_batch_size": 4}}, None)
    both = on_ranks(2, partial(rows_of, {**config, "ranks": 2}))
    assert both[0] == both[1] == alone
    assert "adapter/rank_mean" in alone[1]


def test_layers_in_parts_are_refused_before_anything_starts() -> None:
    asked = ("policy=local", "policy.path=x", "ranks=2", "policy.sharding=layers", "policy/adapter=adaptive_lora")
    (line,) = problems(resolved(*asked))
    assert line.startswith("policy/adapter must be lora or none with policy.sharding=layers, got adaptive_lora")


@pytest.mark.parametrize(("key", "value"), [("mass_share", 0.0), ("mass_share", 1.1), ("every", 0), ("rank", 0)])
def test_numbers_out_of_range_are_refused_by_their_key(key: str, value: float) -> None:
    (line,) = problems(resolved("policy/adapter=adaptive_lora", f"policy.adapter.{key}={value}"))
    assert f"policy.adapter.{key}" in line


def test_the_saved_adapter_is_a_plain_one_of_peft(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    policy, optimizer = stepped()
    policy.after_update(2, optimizer)
    policy.save(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(model_directory())
    loaded = PeftModel.from_pretrained(base, tmp_path).eval()
    ids = torch.tensor([[3, 4, 5]])
    logits = policy.module(input_ids=ids).logits
    torch.testing.assert_close(loaded(input_ids=ids).logits, logits, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(logits, tiny_policy().module(input_ids=ids).logits, atol=1e-2)
    other = tiny_policy(**ADAPTIVE)
    other.restore(tmp_path)
    assert torch.equal(other.module(input_ids=ids).logits, logits)


def test_layers_that_hold_their_weights_transposed_are_cut_too(tmp_path: Path) -> None:
    """GPT-2's: what the layer adds is what it was, cut down, by peft's own account of it."""
    from transformers import AutoModelForCausalLM

    made = AdaptiveLora(**ADAPTIVE).adapt(AutoModelForCausalLM.from_pretrained(write("GPT2Config", tmp_path)), 0)
    layers = {name: layer for name, layer in made.trained.named_modules() if name in factors(made.trained)}
    drawn = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for b, _ in factors(made.trained).values():
            b.copy_(torch.randn(b.shape, generator=drawn))
        before = {name: layer.get_delta_weight("default").double() for name, layer in layers.items()}
        assert made.after_update is not None
        made.after_update(2, torch.optim.AdamW([next(iter(factors(made.trained).values()))[0]]))
        for name, layer in layers.items():
            u, singular, vh = torch.linalg.svd(before[name], full_matrices=False)
            rank = max(1, int((singular[:4].cumsum(0) / singular.sum() <= 0.75).sum()))
            expected = u[:, :rank] * singular[:rank] @ vh[:rank]
            torch.testing.assert_close(layer.get_delta_weight("default").double(), expected, atol=1e-5, rtol=1e-5)
    assert len(layers) > 0
