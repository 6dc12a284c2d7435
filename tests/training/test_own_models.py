"""A policy of the user's own whose models do not tell what the run reads is refused in one message."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safelab.contracts import CausalModel
from safelab.errors import ConfigError
from safelab.training.own_models import check_models, needs_of
from support.pairs import offline
from support.runs import small


class Unmasked:
    """A model whose method is that of the contract before it told which tokens are read."""

    def token_stats(self, hidden: Any, ids: Any, reference: Any = None) -> None:
        """Nothing."""


class Masked:
    """One that takes whatever it is told."""

    def token_stats(self, hidden: Any, ids: Any, **more: Any) -> None:
        """Nothing."""


def test_a_policys_models_must_take_the_mask_of_the_tokens_that_are_read() -> None:
    check_models(SimpleNamespace(model=Masked(), reference=Masked()), {})
    for models in ((Unmasked(), Masked()), (Masked(), Unmasked())):
        with pytest.raises(ConfigError, match="takes a mask, got Unmasked, whose takes hidden, ids, reference: write"):
            check_models(SimpleNamespace(model=models[0], reference=models[1]), {})


class Knowing(Masked):
    """One that also tells both numbers that most parts do not read."""

    def sampled_logit(self, hidden: Any, ids: Any) -> None:
        """Nothing."""

    def logit_gradient(self, hidden: Any, ids: Any, mask: Any = None) -> None:
        """Nothing."""


def test_what_a_part_reads_of_a_model_must_be_told_by_it(tmp_path: Path) -> None:
    inherits = type("Inherits", (Masked,), {"logit_gradient": CausalModel.logit_gradient})
    needs = needs_of(small(tmp_path, "algorithm=otb", "objective=logits_convex_sampled"))
    for model, said in (
        (Masked(), "with the method logit_gradient, which advantage=optimal_token_baseline needs, got Masked without"),
        (inherits(), "got Inherits without: write logit_gradient\\(self, hidden, ids, mask\\) as"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_models(SimpleNamespace(model=model, reference=Masked()), needs)
    half = type("Half", (Masked,), {"logit_gradient": Knowing.logit_gradient})
    with pytest.raises(ConfigError, match="sampled_logit, which objective=logits_convex_sampled needs, got Half"):
        check_models(SimpleNamespace(model=half(), reference=Masked()), needs)
    check_models(SimpleNamespace(model=Knowing(), reference=Masked()), needs)
    check_models(SimpleNamespace(model=Masked(), reference=Masked()), needs_of(small(tmp_path, "algorithm=grpo")))


def test_pairs_need_none_of_it(tmp_path: Path) -> None:
    assert needs_of(offline(tmp_path, "algorithm=dpo", "advantage=optimal_token_baseline")) == {}
