import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.seeds import derive_seed, generator, numpy_generator


def test_a_seed_is_the_same_on_every_machine_and_day():
    # Worked apart: b2sum -l 64 of '[0, "rollout", 3]' without newline, read big-endian, halved.
    assert derive_seed(0, "rollout", 3) == 1159196710099619525


def test_names_are_not_confused():
    assert derive_seed(0, "ab") != derive_seed(0, "a", "b")
    assert derive_seed(0, "1") != derive_seed(0, 1)
    assert derive_seed(0, 1) != derive_seed(1, 0)
    assert derive_seed(0) != derive_seed(0, "")


@given(st.integers(), st.lists(st.text(max_size=5) | st.integers(), max_size=3))
def test_every_seed_fits_torch_and_numpy(seed, names):
    derived = derive_seed(seed, *names)
    assert 0 <= derived < 2**63
    generator(seed, *names)
    numpy_generator(seed, *names)


def test_generators_repeat_and_differ_by_name():
    draw = lambda *names: torch.rand(4, generator=generator(7, *names))  # noqa: E731
    assert torch.equal(draw("a"), draw("a"))
    assert not torch.equal(draw("a"), draw("b"))
    assert numpy_generator(7, "a").random() == numpy_generator(7, "a").random()
    assert numpy_generator(7, "a").random() != numpy_generator(7, "b").random()
