"""Published numbers: the committed files are read whole, and every kind of fault is one clear message."""

from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.published.read import COLUMNS, FOLDER, names, read
from safelab.results.runs.measures import MEASURES

ABOUT = """
title: A study
source: arXiv 1234.56789
claim: It is better.
settings: {updates: 10}
departures: [another seed]
margin_reason: half of the claimed gain
unread: [its appendix]
"""
ROW = "ppo,final reward,reward_final,0.5,0.1,3,reward,0.05,table 1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(ABOUT)
    (tmp_path / "study.csv").write_text(f"{','.join(COLUMNS)}\n{ROW}\n")
    return tmp_path


def rewritten(folder: Path, row: str) -> Path:
    (folder / "study.csv").write_text(f"{','.join(COLUMNS)}\n{ROW}\n{row}\n")
    return folder


def test_a_pair_of_files(folder: Path) -> None:
    found = read("study", rewritten(folder, "safe/ppo,gain,reward_sd^2,5.15,,,%,,the abstract"))
    first, ratio = found.numbers
    assert (first.value, first.sd, first.n, first.margin, first.note) == (0.5, 0.1, 3, 0.05, "")
    assert (ratio.arms, ratio.measure, ratio.sd) == (("safe", "ppo"), ("reward_sd", 2), None)
    assert found.about.source == ["arXiv 1234.56789"]
    assert found.about.facts == ["updates: 10"]
    assert found.about.measured == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW.replace("0.5,", "half,"), r"study\.csv line 3: row\.value must be a valid number, got 'half'"),
        (ROW.replace("0.5,", "nan,"), r"row\.value must be a finite number"),
        (ROW.replace("0.5,", ","), r"row\.value must be a valid number, got None"),
        (ROW.replace("0.1,3,", "0.1,,"), "row sd must come with the n of at least 2 runs"),
        (ROW.replace("0.1,3,", "0.1,1,"), "row sd must come with the n of at least 2 runs"),
        (ROW.replace("0.1,3,", "0.1,2.5,"), r"row\.n must be a multiple of 1"),
        (ROW.replace("0.05,table 1", "-1,table 1"), r"row\.margin must be > 0, got -1\.0"),
        (ROW.replace("table 1", ""), r"row\.place must have at least 1 character"),
        (ROW.replace("ppo,", "safe/ppo,"), "row unit must be % or times where arm is a ratio"),
        ("safe/ppo,gain,reward_mean,0,,,times,,here", "row value must be > 0 for a ratio in times, got 0"),
        ("safe/ppo,gain,reward_mean,-100,,,%,,here", "row value must be > -100 for a ratio in %, got -100"),
        ("ppo,crashes,diverged,3,,10,share of runs,,here", "row value must be from 0 to 1"),
        (
            "ppo,crashes,crash/reward,3,,10,%,,here",
            "row crash/reward must be of one arm and in the unit 'share of runs'",
        ),
        ("ppo,crashes,diverged,0.3,,10,,,here", "row diverged must be of one arm .* got the arm ppo and the unit ''"),
        ("safe/ppo,crashes,crash/reward,2,,,times,,here", "got the arm safe/ppo and the unit 'times'"),
        ("ppo,short", r"study\.csv line 3 must have the columns arm, quantity, metric"),
        (f"{ROW},one more", r"study\.csv line 3 must have the columns arm, quantity, metric"),
    ],
)
def test_what_is_wrong_with_a_row_is_one_message(folder: Path, row: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read("study", rewritten(folder, row))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A study\n", "", r"study\.yaml: title must be given"),
        ("claim:", "claims:", "claims must be a key of the configuration, and is none: did you mean 'claim'"),
        ("[another seed]", "3", "departures must be a valid list, got 3"),
        ("title: A", "title: [A", r"study\.yaml must be YAML"),
    ],
)
def test_what_is_wrong_with_the_yaml_is_one_message(folder: Path, old: str, new: str, said: str) -> None:
    (folder / "study.yaml").write_text(ABOUT.replace(old, new))
    with pytest.raises(DataError, match=said):
        read("study", folder)


def test_without_its_numbers_or_under_another_name_it_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="got 'studdy'; did you mean 'study'"):
        read("studdy", folder)
    (folder / "study.csv").unlink()
    with pytest.raises(DataError, match="must be a CSV with the columns"):
        read("study", folder)


def test_the_old_name_of_safe_still_serves() -> None:
    assert read("safe").name == "safe_paper"


def test_there_are_publications() -> None:
    assert "safe_paper" in names()
    assert sorted(path.stem for path in FOLDER.glob("*.csv")) == names()


@pytest.mark.parametrize("name", names())
def test_every_committed_publication_is_whole(name: str) -> None:
    found = read(name)
    assert found.numbers
    assert all(number.place for number in found.numbers)
    known = {measure.key for measure in MEASURES}
    for number in found.numbers:
        key, _ = number.measure
        assert key in ("", "diverged") or key in known or "/" in key, f"{key} is neither a measure nor a logged metric"
    cast = {arm for one in found.about.stands_for for arm in one}
    assert not cast or cast == {arm for number in found.numbers for arm in number.arms}
