import ast
from pathlib import Path

import torch

from safelab.maths import wide as module
from safelab.maths.wide import device_of_float64, wide

SOURCE = Path(module.__file__).parents[1]

# Not made on a run's device: numbers of a generator that lives on the CPU, a fit of plain lists, votes, factors that
# were fetched, a question; and several ranks run on CPUs and CUDA's GPUs alone.
ELSEWHERE = {
    "maths/wide.py", "ranks.py", "maths/drawing.py", "world/reward_model.py", "training/start.py",
    "maths/zeroth_order.py", "parts/optimizer/zeroth_order.py", "training/zeroth/loop.py", "training/zeroth/stages.py",
    "training/probes/zeroth_audit.py", "training/offline/triage.py", "parts/policy/adapter/adaptive_lora.py",
}  # fmt: skip


def test_wide_keeps_device_and_gradient() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    wide(x).square().sum().backward()
    assert wide(x).dtype == torch.float64
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0]


def test_only_apples_gpus_are_without() -> None:
    assert device_of_float64(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert device_of_float64(torch.device("mps")) == torch.device("cpu")


def test_nothing_else_asks_a_device_for_float64() -> None:
    # On Apple's GPUs it would raise, and none of them is here to say so.
    found = set()
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name.split("/")[0] in ("results", "app"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            asks = isinstance(node, ast.Attribute) and node.attr in ("double", "float64")
            if asks and not ast.unparse(node).startswith("np."):
                found.add(name)
    assert found == ELSEWHERE
