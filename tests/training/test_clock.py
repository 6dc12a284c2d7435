import resource
import sys
from pathlib import Path

import pytest
import torch

from safelab.training.clock import Clock, peak_resident_bytes


@pytest.mark.parametrize(("platform", "expected"), [("linux", 3 * 1024), ("darwin", 3)])
def test_the_unit_is_the_systems(platform: str, expected: int) -> None:
    assert peak_resident_bytes(3, platform) == expected


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel's own figure is read from /proc")
def test_the_peak_is_what_the_kernel_says() -> None:
    status = Path("/proc/self/status").read_text()
    kernel = int(status.split("VmHWM:")[1].split()[0]) * 1024
    ours = peak_resident_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.platform)
    assert ours == pytest.approx(kernel, rel=0.02)
    assert Clock(torch.nn.Linear(1, 1)).peak_gib() == pytest.approx(ours / 2**30, rel=0.02)
