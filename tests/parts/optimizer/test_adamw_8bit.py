"""The option against a stand-in with bitsandbytes' interface and kind of state; the library itself is an extra."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

from safelab.errors import ConfigError
from safelab.plugins import build_option
from support.models import context
from support.runs import numbers, run, small

OPTIONS = {
    "name": "adamw_8bit", "lr": 0.1, "critic_lr": 0.5, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
    "max_grad_norm": 1.0, "critic_max_grad_norm": None, "epochs": 2, "minibatches": 1, "micro_batch_size": None,
    "micro_batch_tokens": None, "target_kl": None, "schedule": "constant",
    "gradient_penalty": {"coef": 0.0, "step": 1e-3, "clip": 10.0, "direction": "gradient"},
}  # fmt: skip

TABLE = torch.linspace(-1, 1, 256)


class Coarse(torch.optim.Optimizer):
    """Momentum in 8 bits, kept as bitsandbytes keeps it: nested, a plain number for the step, one table for all."""

    def __init__(self, params, lr, betas, eps, weight_decay) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    codes = torch.full(weight.shape, 128, dtype=torch.uint8)
                    state.update(step=0, quant={"codes": codes, "table": TABLE})
                quant = state["quant"]
                average = 0.9 * quant["table"][quant["codes"].long()] + 0.1 * weight.grad.clamp(-1, 1)
                quant["codes"] = ((average + 1) / 2 * 255).round().to(torch.uint8)
                state["step"] += 1
                weight.sub_(group["lr"] * average / state["step"] ** 0.5)

    def load_state_dict(self, saved) -> None:
        """As its own: torch's would turn the codes into floats."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for index, state in saved["state"].items():
            self.state[weights[index]] = state
        for group, values in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({name: value for name, value in values.items() if name != "params"})


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    library, optim = ModuleType("bitsandbytes"), ModuleType("bitsandbytes.optim")
    library.optim, optim.AdamW8bit = optim, Coarse
    monkeypatch.setitem(sys.modules, "bitsandbytes", library)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", optim)


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match=r"bitsandbytes does not load .*pip install '\./safelab\[eight_bit\]'"):
        build_option("optimizer", OPTIONS, context())


def test_its_own_rates_and_both_optimisers(stand_in: None) -> None:
    policy, critic = torch.nn.Linear(2, 2), torch.nn.Linear(1, 1)
    made = build_option("optimizer", OPTIONS, context()).make(policy, critic)
    assert isinstance(made.policy, Coarse)
    assert (made.policy.param_groups[0]["lr"], made.critic.param_groups[0]["lr"]) == (0.1, 0.5)
    assert made.policy_max_grad_norm == 1.0


def resumed_as_uninterrupted(tmp_path: Path) -> None:
    def config(updates: int, where: str) -> dict:
        overrides = ["algorithm=safe", "optimizer=adamw_8bit", f"updates={updates}", "checkpoint.every=2"]
        return {**small(tmp_path, *overrides), "output_dir": str(tmp_path / where)}

    _, whole = run(config(4, "whole"))
    run(config(2, "parts"))
    _, resumed = run(config(4, "parts"))
    assert numbers(resumed) == numbers(whole)


@pytest.mark.slow
def test_its_state_comes_back_from_a_checkpoint_to_the_bit(stand_in: None, tmp_path: Path) -> None:
    resumed_as_uninterrupted(tmp_path)


if find_spec("bitsandbytes") is not None:

    def test_the_librarys_state_does_too(tmp_path: Path) -> None:
        resumed_as_uninterrupted(tmp_path)
