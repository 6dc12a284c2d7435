from pathlib import Path

from safelab.parts.tracker.none import NoTracker


def test_leaves_no_trace(tmp_path: Path) -> None:
    mirror = NoTracker(name="none", tags=[], notes=None).start(tmp_path, {}, {})
    mirror.log({"update": 0})
    mirror.finish("finished")
    assert list(tmp_path.iterdir()) == []
