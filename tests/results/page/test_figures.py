from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.results.page.document import Choices, build_report
from safelab.results.page.figures import spread, write_figures
from safelab.results.runs.load import load

from ..conftest import MakeRun


def test_labels_that_are_apart_stay_and_others_are_moved() -> None:
    assert spread([0.1, 0.9], 0.2, 0, 1) == pytest.approx([0.1, 0.9])
    assert spread([0.5, 0.5], 0.2, 0, 1) == pytest.approx([0.4, 0.6])
    assert spread([0.5, 0.1, 0.52, 0.9], 0.2, 0, 1) == pytest.approx([0.41, 0.1, 0.61, 0.9])
    assert spread([0.99, 0.95], 0.2, 0, 1) == pytest.approx([1.0, 0.8])
    assert spread([0.0, 0.01], 0.2, 0, 1) == pytest.approx([0.0, 0.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_never_touch_and_keep_their_order(values: list[float]) -> None:
    heights = spread(values, 0.1, 0, 1)
    ranked = sorted(range(len(values)), key=lambda index: values[index])
    assert all(heights[b] - heights[a] >= 0.1 - 1e-9 for a, b in pairwise(ranked))
    assert max(heights) <= 1 + 1e-9


def test_figures_of_arms_with_any_name_are_written(make_run: MakeRun, tmp_path: Path) -> None:
    for number, arm in enumerate(("ppo", "$x$ <b>&\x07", "long_" * 30)):
        for seed in (0, 1):
            columns = {"kl/ref_token_exact": [0.0, 0.1], "reward/gold_mean": [0.1, 0.2]}
            make_run(
                arm,
                seed,
                rewards=[0.5, 0.6 + 0.01 * seed],
                columns=columns,
                directory=tmp_path / f"{number}{seed}",
            )
    report = build_report(load([tmp_path]), Choices(baseline="ppo"))
    written = write_figures(report, tmp_path / "figures")
    assert sorted({path.name for path in written}) == sorted(
        f"{name}.{suffix}" for name in ("curves", "frontier", "seeds") for suffix in ("pdf", "png", "svg")
    )
    assert all(path.stat().st_size > 1000 for path in written)
    ElementTree.parse(tmp_path / "figures/curves.svg")
    assert "$x$ &lt;b&gt;&amp;�" in (tmp_path / "figures/curves.svg").read_text()


def test_what_has_nothing_to_show_is_left_out(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.5, 0.6])
    written = write_figures(build_report(load([tmp_path]), Choices(baseline="ppo")), tmp_path / "figures")
    assert {path.stem for path in written} == {"curves", "seeds"}


def test_the_same_runs_give_the_same_svg(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.5, 0.6])
    report = build_report(load([tmp_path]), Choices(baseline="ppo"))
    first, second = (write_figures(report, tmp_path / name) for name in ("a", "b"))
    svgs = [next(path for path in paths if path.suffix == ".svg").read_bytes() for paths in (first, second)]
    assert svgs[0] == svgs[1]
