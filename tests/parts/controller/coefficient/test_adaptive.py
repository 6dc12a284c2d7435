import pytest

from safelab.errors import ConfigError
from support.controllers import part, signals


@pytest.mark.parametrize(("kl_seq", "expected"), [(9.0, 0.201024), (12.0, 0.201024), (6.0, 0.2), (3.0, 0.198976)])
def test_worked_numbers(kl_seq: float, expected: float) -> None:
    adaptive = part("coefficient", "adaptive")
    state = adaptive.step(adaptive.init(), signals(kl_ref_seq_k1=kl_seq, n_sequences=256), 0.0)
    assert adaptive.coef(state) == pytest.approx(expected, abs=1e-9)


def test_per_token_it_hears_the_token_mean() -> None:
    adaptive = part("coefficient", "adaptive", unit="token", target=0.1)
    state = adaptive.step(adaptive.init(), signals(kl_ref_seq_k1=0.0, n_sequences=256), 0.2)
    assert adaptive.coef(state) == pytest.approx(0.2 * (1 + 0.2 * 256 / 10000))


def test_signals_without_the_sum_are_refused() -> None:
    adaptive = part("coefficient", "adaptive")
    with pytest.raises(ConfigError, match="kl_ref_seq_k1"):
        adaptive.step(adaptive.init(), signals(), 0.1)
