import math

import pytest
from pydantic import ValidationError

from safelab.parts.guard.rollback import Rollback

OPTIONS = {"name": "rollback", "metrics": ["policy/loss"], "crashes": ["repetition"], "kl_ceiling": 1.0}


def guard(**changes: object) -> Rollback:
    return Rollback(**{**OPTIONS, "max_rollbacks": 3, "lr_factor": 0.5, "kl_coef_factor": 2.0, **changes})


def test_it_objects_as_the_guard_that_stops_does() -> None:
    calm = {"update": 4, "policy/loss": 0.1, "kl/ref_token_exact": 0.5, "crash/repetition": 0}
    assert guard().verdict(calm) is None
    assert guard().verdict({**calm, "policy/loss": math.nan}) == "policy/loss was nan at update 4"
    assert guard().verdict({**calm, "crash/repetition": 1}) == "crash/repetition began at update 4"
    assert guard().verdict({**calm, "kl/ref_token_exact": 2.0}) == "kl/ref_token_exact was 2, above 1, at update 4"


def test_the_remedy_is_what_the_options_say() -> None:
    remedy = guard().remedy
    assert (remedy.max_rollbacks, remedy.lr_factor, remedy.kl_coef_factor) == (3, 0.5, 2.0)


def test_a_rollback_that_changes_nothing_would_go_wrong_again() -> None:
    with pytest.raises(ValidationError, match="must change a rate"):
        guard(lr_factor=1.0, kl_coef_factor=1.0)


@pytest.mark.parametrize(
    "wrong", [{"lr_factor": 0.0}, {"lr_factor": 1.5}, {"kl_coef_factor": 0.5}, {"max_rollbacks": 0}]
)
def test_a_remedy_that_makes_it_worse_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        guard(**wrong)
