from safelab.plugins import build_option
from safelab.world.grammar import COLOURS, PRODUCTS
from support.models import context


def source(seed: int):
    return build_option("data", {"name": "reviews", "seed": seed}, context())


def test_prompts_name_a_coloured_product() -> None:
    for prompt in source(0).prompts(0, 50):
        review, colon, the, colour, product, stop = prompt.split()
        assert (review, colon, the, stop) == ("review", ":", "the", ".")
        assert colour in COLOURS
        assert product in PRODUCTS


def test_the_cursor_is_all_the_state_and_the_seed_decides() -> None:
    assert source(0).prompts(3, 4) == source(0).prompts(0, 10)[3:7]
    assert source(0).prompts(0, 20) != source(1).prompts(0, 20)
