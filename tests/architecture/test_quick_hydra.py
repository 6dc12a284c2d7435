"""The shortened Hydra of the tests composes what Hydra does."""

import pytest
from omegaconf import OmegaConf

from safelab.app.config.compose import compose, opened
from support import quick_hydra


@pytest.mark.parametrize("overrides", [["algorithm=safe"], ["algorithm=dapo", "controller/gate=none", "seed=3"], []])
def test_it_composes_the_same(overrides: list[str]) -> None:
    with opened() as hydra:
        quick = [OmegaConf.to_yaml(compose(hydra, overrides)) for _ in range(2)]
        quick_hydra.uninstall()
        try:
            slow = OmegaConf.to_yaml(compose(hydra, overrides))
        finally:
            quick_hydra.install()
    assert quick == [slow, slow]


def test_it_parses_a_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as hydra:
        compose(hydra, ["algorithm=safe"])
        monkeypatch.setattr(quick_hydra, "LOAD", lambda *arguments: pytest.fail("parsed again"))
        compose(hydra, ["algorithm=safe"])
