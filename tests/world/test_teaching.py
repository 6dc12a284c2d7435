"""The order in which the world's models meet their pairs: random, fixed by the seed, every pair once per epoch."""

import random

from safelab.world.teaching import shuffled


def test_every_item_comes_once_per_epoch_in_a_new_order() -> None:
    batches = list(shuffled(range(7), 2, 3, random.Random(0)))
    assert [len(batch) for batch in batches] == [3, 3, 1, 3, 3, 1]
    first, second = ([item for batch in half for item in batch] for half in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert batches == list(shuffled(range(7), 2, 3, random.Random(0)))


def test_the_order_is_that_of_the_random_numbers() -> None:
    rng = random.Random(4)
    drawn = [rng.random() for _ in range(5)]
    (batch,) = shuffled("abcde", 1, 5, random.Random(4))
    assert [letter for _, letter in sorted(zip(drawn, "abcde", strict=True))] == batch
