"""Layers in parts on three ranks, which divide neither the weights nor the rows evenly."""

from functools import partial
from typing import Any

import torch
from transformers import LlamaForCausalLM

from safelab.errors import ConfigError
from safelab.pretrained.sharding import collected, part_of, spread, take, whole_layers
from safelab.ranks import Ranks, is_part
from safelab.training.lifecycle.optimizer_slots import load, saved, saved_groups
from safelab.training.update import limit_gradient
from support.models import model_directory
from support.ranks import on_ranks

ROWS = torch.arange(3, 27).view(4, 6) % 12


def loss_of(model: Any, rows: torch.Tensor) -> torch.Tensor:
    states = model.model(input_ids=rows, use_cache=False).last_hidden_state
    return states.square().sum() / ROWS.numel() + model.lm_head(states[:, -1]).square().sum() / 4


def whole_model(tied: bool = False) -> Any:
    return LlamaForCausalLM.from_pretrained(model_directory(tied)).eval()


def optimizer_over(model: Any) -> torch.optim.Optimizer:
    kinds = [[weight for weight in model.parameters() if is_part(weight) is part] for part in (True, False)]
    return torch.optim.AdamW([{"params": kind} for kind in kinds if kind], lr=0.01, foreach=True)


def now(tensors: Any, ranks: Ranks) -> dict[str, torch.Tensor]:
    """All of them as they are at this moment: whole ones are not copied by ``collected``."""
    return {name: tensor.clone() for name, tensor in collected(tensors, ranks.leads).items()}


def parted(ranks: Ranks) -> dict[str, Any]:
    """A step by parts, what is gathered of it, and the same taken by others."""
    model = whole_model()
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    spread(model, ranks, "policy.sharding")
    optimizer = optimizer_over(model)
    loss_of(model, ranks.share(ROWS)).backward()
    ranks.add_gradients(model)
    gradients = now({name: weight.grad for name, weight in model.named_parameters()}, ranks)
    norm = float(limit_gradient(ranks, model, 0.5))
    limited = float(ranks.norm([weight.grad for weight in model.parameters()]))
    optimizer.step()
    with torch.no_grad(), whole_layers(model):
        passes = [float(loss_of(model, ROWS[:1])) for _ in range(1 + ranks.rank)]  # more of them on later ranks
    told = {"gradients": gradients, "norm": norm, "limited": limited, "passes": passes}
    told["weights"] = now(model.state_dict(), ranks)
    told["slots"], told["groups"] = saved(model, optimizer, ranks), saved_groups(model, optimizer)
    take(model.state_dict(), start)
    told["again"] = now(model.state_dict(), ranks)
    told["start"] = start
    return told


def test_a_step_by_parts_is_that_of_the_whole() -> None:
    model = whole_model()
    optimizer = optimizer_over(model)
    loss_of(model, ROWS).backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5))
    optimizer.step()
    first, second, third = on_ranks(3, parted)
    torch.testing.assert_close(first["gradients"], expected, rtol=1e-5, atol=1e-6)
    for told in (first, second, third):
        assert abs(told["norm"] / norm - 1) < 1e-6
        assert abs(told["limited"] / 0.5 - 1) < 1e-5
    torch.testing.assert_close(first["weights"], dict(model.state_dict()), rtol=1e-5, atol=1e-6)
    assert third["passes"] == 3 * first["passes"]
    torch.testing.assert_close(first["again"], first["start"], rtol=0, atol=0)
    assert second["weights"] == second["slots"] == second["again"] == {}, "only the first rank keeps what is gathered"
    torch.testing.assert_close(first["slots"], saved(model, optimizer, Ranks()), rtol=1e-5, atol=1e-6)

    fresh = whole_model()
    other = optimizer_over(fresh)
    load(fresh, other, first["slots"], first["groups"])
    mine = saved(fresh, other, Ranks())
    assert mine.keys() == first["slots"].keys()
    torch.testing.assert_close(mine, first["slots"], rtol=0, atol=0)


def slots_by_number(ranks: Ranks, tensors: Any, groups: Any) -> Any:
    model = whole_model()
    spread(model, ranks, "policy.sharding")
    optimizer = optimizer_over(model)
    load(model, optimizer, tensors, groups)
    return saved(model, optimizer, ranks)


def test_parts_take_slots_that_had_numbers_only() -> None:
    model = whole_model()
    optimizer = optimizer_over(model)
    loss_of(model, ROWS).backward()
    optimizer.step()
    state = optimizer.state_dict()
    old = {f"{number}.{slot}": value for number, slots in state["state"].items() for slot, value in slots.items()}
    first, *_ = on_ranks(3, partial(slots_by_number, tensors=old, groups=state["param_groups"]))
    torch.testing.assert_close(first, saved(model, optimizer, Ranks()), rtol=0, atol=0)


def tied_and_refused(ranks: Ranks) -> tuple[bool, str]:
    model = whole_model(True)
    spread(model, ranks, "policy.sharding")
    whole = collected(model.state_dict(), ranks.leads)
    one = not whole or whole["lm_head.weight"] is whole["model.embed_tokens.weight"]
    try:
        spread(
            LlamaForCausalLM(
                model.config.__class__(
                    num_hidden_layers=0, hidden_size=8, num_attention_heads=1, intermediate_size=8, vocab_size=8
                )
            ),
            ranks,
            "policy.sharding",
        )
    except ConfigError as error:
        return one, str(error)
    return one, ""


def test_a_tied_head_is_gathered_once_and_a_model_without_layers_is_refused() -> None:
    whole_model(True)  # made on disk before there are several who would make it
    for one, said in on_ranks(2, tied_and_refused):
        assert one
        assert said.startswith("policy.sharding must be none for this model, got layers")


def test_what_is_whole_stays_as_it_is() -> None:
    weight = torch.ones(3)
    assert part_of(weight, torch.zeros(3)) is weight
