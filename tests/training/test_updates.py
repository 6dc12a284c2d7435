from pathlib import Path

from safelab.training.loop import train_update
from safelab.training.offline.loop import offline_update
from safelab.training.updates import update_of
from safelab.training.zeroth.loop import zeroth_update
from support.pairs import offline
from support.runs import by_votes, parts_of, small


def test_what_an_update_is_follows_from_the_parts(tmp_path: Path) -> None:
    assert update_of(parts_of(small(tmp_path, "algorithm=ppo"))) is train_update
    assert update_of(parts_of(offline(tmp_path, "algorithm=dpo"))) is offline_update
    assert update_of(parts_of(by_votes(tmp_path))) is zeroth_update
