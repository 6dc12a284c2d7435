"""The stand-in for a GPU, in a process of its own: see ``on_a_device``."""

import subprocess
import sys
from pathlib import Path


def test_updates_on_a_device_make_the_cpus_rows_and_wait_seldom() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist"]
    script = Path(__file__).with_name("on_a_device.py")
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
