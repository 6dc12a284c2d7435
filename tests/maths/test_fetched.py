import math

import torch

from safelab.maths.fetched import fetched


def test_every_kind_of_number_comes_back_as_it_was_and_in_its_place() -> None:
    values = {
        "single": torch.tensor(0.1),
        "word": "WARMUP",
        "double": torch.tensor(0.1, dtype=torch.float64, requires_grad=True),
        "half": torch.tensor(0.1, dtype=torch.bfloat16),
        "count": torch.tensor(2**53 - 1),
        "nothing": None,
        "number": 7,
    }
    found = fetched(values)
    assert list(found) == list(values)
    assert found == {
        # 0.1 in each type, written out in binary fractions.
        "single": 13421773 / 2**27, "word": "WARMUP", "double": 0.1, "half": 205 / 2**11, "count": 2**53 - 1,
        "nothing": None, "number": 7,
    }  # fmt: skip
    assert math.isnan(fetched({"nan": torch.tensor(math.nan)})["nan"])


def test_without_tensors_there_is_nothing_to_fetch() -> None:
    assert fetched({"number": 1.5}) == {"number": 1.5}
