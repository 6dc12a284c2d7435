from pathlib import Path

from safelab.parts.tracker import none


def test_leaves_no_trace(tmp_path: Path) -> None:
    tracker = none.build(none.Options(name="none"), None)
    tracker.start(tmp_path, {}, {})
    tracker.log({"update": 0})
    tracker.finish("finished")
    assert list(tmp_path.iterdir()) == []
