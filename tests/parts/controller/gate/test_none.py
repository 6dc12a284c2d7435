from support.controllers import part, signals


def test_factor_is_one() -> None:
    gate = part("gate", "none")
    assert gate.factor(gate.step(gate.init(), signals(entropy=0.0), 0.0)) == 1.0
