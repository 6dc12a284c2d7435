"""Shapes are checked at run time where tensors are computed; without these a module could go unchecked in silence."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from safelab.types import Counts
from support.objectives import component
from support.shapes import GROUPS, checked_modules

PARTS = Path(__file__).resolve().parents[2] / "src" / "safelab" / "parts"


def test_most_of_what_computes_with_tensors_is_checked() -> None:
    modules = checked_modules()
    assert len(modules) >= 75
    assert {
        "safelab.contracts.losses",
        "safelab.contracts.scores",
        "safelab.maths.masked",
        "safelab.training.losses",
        "safelab.training.stages",
        "safelab.training.update",
    } <= set(modules)


@pytest.mark.parametrize("group", GROUPS)
def test_every_module_of_a_group_goes_through_the_hook(group: str) -> None:
    paths = [path for path in (PARTS / group).rglob("*.py") if path.name != "__init__.py"]
    assert paths
    for path in paths:
        name = ".".join(("safelab", "parts", *path.relative_to(PARTS).with_suffix("").parts))
        import_module(name)
        assert type(sys.modules[name].__loader__).__module__.startswith("jaxtyping"), name


def test_a_wrong_shape_is_refused() -> None:
    aggregation = component("aggregation", "token_mean")
    whole = Counts(sequences=2, tokens=6, columns=6, values=6)
    with pytest.raises(TypeCheckError):
        aggregation.reduce(torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool), whole)
