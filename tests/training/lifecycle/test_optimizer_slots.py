import pytest
import torch
from safetensors.torch import load_file, save_file

from safelab.training.lifecycle.optimizer_slots import flat, nested


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
