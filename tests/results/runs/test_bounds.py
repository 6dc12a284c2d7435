"""What cannot be passed: every metric that is known to have bounds is one that docs/metrics.md knows."""

import re
from pathlib import Path

import pytest

from safelab.results.page.document import Choices, build_report
from safelab.results.runs.bounds import AT_MOST_ONE, NOT_NEGATIVE, SHARES, bounds_of
from safelab.results.runs.load import load

from ..conftest import MakeRun

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_every_metric_whose_line_says_share_of_is_a_share() -> None:
    """A clock's (``speed/``) are known by how their names begin."""
    lines = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    said = [line[0] for line in lines if line[-1].lstrip().startswith("share of ")]
    names = {name for cell in said for name in re.findall(r"`([a-z_]+/[a-z_]+)`", cell) if "speed/" not in name}
    assert len(names) > 15
    assert names <= SHARES


@pytest.mark.parametrize("name", sorted(SHARES | NOT_NEGATIVE | AT_MOST_ONE))
def test_a_metric_with_bounds_is_a_metric(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text()


def test_bounds() -> None:
    assert bounds_of("policy/clip_fraction") == (0.0, 1.0)
    assert bounds_of("kl/ref_token_exact") == bounds_of("time/total_s") == (0.0, None)
    assert bounds_of("critic/explained_variance") == (None, 1.0)
    assert bounds_of("kl/ref_token_k1") == bounds_of("reward/mean") == bounds_of("mine") == (None, None)


def test_no_interval_of_a_report_leaves_the_bounds(make_run: MakeRun, tmp_path: Path) -> None:
    shares = {0: 0.99, 1: 0.6, 2: 1.0}
    for arm in ("ppo", "safe"):
        for seed, share in shares.items():
            value = share if arm == "ppo" else 1.0 - share
            names = ("response/eos_rate", "policy/clip_fraction", "kl/ref_token_exact", "time/total_s")
            make_run(arm, seed, [0.5], {name: [value] for name in names})
    found = build_report(load([tmp_path]), Choices(baseline="ppo", metrics=["policy/clip_fraction"]))
    for arm in found.arms:
        for key in ("eos_final", "policy/clip_fraction"):
            assert 0 < arm.estimates[key].low < arm.estimates[key].high < 1
        for key in ("kl_mean", "kl_max", "kl_final", "update_s"):
            assert arm.estimates[key].low >= 0
    for row in found.comparisons:
        if row.measure in ("eos_final", "policy/clip_fraction"):
            assert -1 < row.difference.low < row.difference.high < 1
