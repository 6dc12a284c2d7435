import json
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.runlog.lock import LOCK_FILE, PATIENCE_S, Lock


def test_the_second_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path, "wait")
    with pytest.raises(DataError) as refused:
        Lock.take(tmp_path, "wait for it")
    assert f"process {os.getpid()} on {platform.node()!r} (since " in str(refused.value)
    assert str(refused.value).endswith("has it now; wait for it")
    lock.release()
    Lock.take(tmp_path, "wait").release()


def test_a_lock_that_is_released_leaves_nothing(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path, "wait")
    assert (tmp_path / LOCK_FILE).exists()
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_stale_lock_is_taken_over(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from safelab.runlog.lock import Lock\n"
        "held = Lock.take(pathlib.Path(sys.argv[1]), 'wait')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    dead = json.loads((tmp_path / LOCK_FILE).read_text())["pid"]
    lock = Lock.take(tmp_path, "wait")
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid() != dead
    lock.release()


def test_a_forked_child_that_lives_on_does_not_keep_the_lock(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys, time\n"
        "from safelab.runlog.lock import Lock\n"
        "held = Lock.take(pathlib.Path(sys.argv[1]), 'wait')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.close(1)\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=False, stdout=subprocess.PIPE, text=True
    )
    child = int(ended.stdout)
    try:
        os.kill(child, 0)  # it is there still
        Lock.take(tmp_path, "wait").release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_that_is_let_go_meanwhile_is_taken(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path, "wait")
    released = threading.Timer(PATIENCE_S / 4, lock.release)
    released.start()
    Lock.take(tmp_path, "wait").release()
    released.join()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()  # not even root can write this
    with pytest.raises(IsADirectoryError):
        Lock.take(tmp_path, "wait")


def test_a_lock_whose_file_was_removed_under_it_is_not_confused_with_the_next_one(tmp_path: Path) -> None:
    old = Lock.take(tmp_path, "wait")
    (tmp_path / LOCK_FILE).unlink()
    new = Lock.take(tmp_path, "wait")
    old.release()
    assert (tmp_path / LOCK_FILE).exists()
    with pytest.raises(DataError):
        Lock.take(tmp_path, "wait")
    new.release()


def test_whether_it_is_held_is_seen_from_another_process(tmp_path: Path) -> None:
    ask = f"from pathlib import Path; from safelab.runlog.lock import is_held; print(is_held(Path({str(tmp_path)!r})))"
    told = lambda: subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout  # noqa: E731
    assert told() == "False\n"
    lock = Lock.take(tmp_path, "wait")
    assert told() == "True\n"
    lock.release()
    (tmp_path / LOCK_FILE).write_text("of a process that was killed")
    assert told() == "False\n"
