from support.controllers import part, signals


def test_growth_costs_nothing() -> None:
    momentum = part("momentum", "none")
    state = momentum.step(momentum.init(), signals(kl=9.0), 9.0)
    assert (momentum.speed(state), momentum.term(state).value, momentum.term(state).slope) == (0.0, 0.0, 0.0)
