import pytest

from safelab.runlog.keys import makes_no_arm


@pytest.mark.parametrize(
    "key", ["seed", "arm", "experiment", "updates", "checkpoint.every", "tracker.mode", "device", "policy.sharding"]
)
def test_where_and_how_a_run_is_recorded_makes_no_arm(key: str) -> None:
    assert makes_no_arm(key)


@pytest.mark.parametrize(
    "key", ["algorithm", "optimizer.lr", "controller/gate", "data.seed", "world", "seedy", "guard"]
)
def test_what_moves_a_number_makes_one(key: str) -> None:
    assert not makes_no_arm(key)
