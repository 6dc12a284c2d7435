import pytest
import torch
from safetensors.torch import load_file, save_file

from safelab.ranks import Ranks
from safelab.training.lifecycle.optimizer_slots import flat, load, nested, saved, saved_groups


def test_there_and_back_through_a_file(tmp_path) -> None:
    shared = torch.arange(4.0)
    state = {
        0: {"step": 3, "inner": {"codes": torch.tensor([1, 2], dtype=torch.uint8), "table": shared}},
        1: {"step": torch.tensor(3.0), "inner": {"codes": torch.tensor([5], dtype=torch.uint8), "table": shared}},
    }
    save_file(flat(state), tmp_path / "state.safetensors")
    back = nested(load_file(tmp_path / "state.safetensors"))
    assert back[0]["step"] == 3
    assert isinstance(back[0]["step"], int)
    assert torch.equal(back[1]["step"], torch.tensor(3.0))
    for index in (0, 1):
        for name in ("codes", "table"):
            assert torch.equal(back[index]["inner"][name], state[index]["inner"][name])
            assert back[index]["inner"][name].dtype == state[index]["inner"][name].dtype


def test_what_no_file_can_hold_is_named() -> None:
    with pytest.raises(TypeError, match=r"tensors and whole numbers, got 0\.name: 'x'"):
        flat({0: {"name": "x"}})


def test_weights_are_found_by_name_whatever_their_order(tmp_path) -> None:
    def made(*order: str) -> tuple[torch.nn.ModuleDict, torch.optim.Optimizer]:
        modules = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 3), "b": torch.nn.Linear(3, 1, bias=False)})
        groups = [{"params": [*modules[name].parameters()], "lr": 0.1} for name in order]
        return modules, torch.optim.AdamW(groups)

    modules, optimizer = made("a", "b")
    modules["b"](modules["a"](torch.ones(4, 2))).sum().backward()
    optimizer.step()
    optimizer.param_groups[1]["lr"] = 0.3
    save_file(saved(modules, optimizer, Ranks()), tmp_path / "slots.safetensors")
    others, other = made("b", "a")
    load(others, other, load_file(tmp_path / "slots.safetensors"), saved_groups(modules, optimizer))
    assert [group["lr"] for group in other.param_groups] == [0.3, 0.1]
    for (name, weight), (_, twin) in zip(modules.named_parameters(), others.named_parameters(), strict=True):
        for slot in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(optimizer.state[weight][slot], other.state[twin][slot]), (name, slot)


def test_slots_of_numbered_weights_are_taken_too() -> None:
    module = torch.nn.Linear(2, 3)
    optimizer, other = torch.optim.AdamW(module.parameters()), torch.optim.AdamW(module.parameters(), lr=0.5)
    module(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    load(module, other, flat(state["state"]), state["param_groups"])
    assert other.param_groups[0]["lr"] == 1e-3
    for weight in module.parameters():
        assert torch.equal(optimizer.state[weight]["exp_avg"], other.state[weight]["exp_avg"])


def test_slots_of_other_weights_are_refused() -> None:
    module, larger = torch.nn.Linear(2, 3, bias=False), torch.nn.Linear(2, 3)
    optimizer, other = torch.optim.AdamW(module.parameters()), torch.optim.AdamW(larger.parameters())
    with pytest.raises(ValueError, match="other weights"):
        load(larger, other, {}, saved_groups(module, optimizer))
