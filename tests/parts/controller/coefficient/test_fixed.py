from support.controllers import part, signals


def test_it_stays() -> None:
    coefficient = part("coefficient", "fixed", value=0.25)
    assert coefficient.coef(coefficient.step(coefficient.init(), signals(kl=9.0), 9.0)) == 0.25
