"""Over random small reports no sentence contradicts the numbers of ``report.json``, and none is missing."""

import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from safelab.results.page import document
from safelab.results.page.document import Choices, build_report, to_json
from safelab.results.runs.load import arranged
from safelab.runlog.reader import RunRecord
from safelab.runlog.schema import RunInfo

ARMS = ("alpha", "bravo", "carol", "delta", "edgar", "foxy", "golf", "hotel")
FORBIDDEN = re.compile(r"\bnan\b|None|\binf\b|\b1 (runs|arms|others|further arms|pairs|files|keys)\b|the 1 |  |\d{30}")
REPORTS = 48


def record(rng: random.Random, arm: str, seed: int, level: float, kind: str) -> RunRecord:
    """One run about ``level``; ``kind`` says what is special about it."""
    updates = rng.choice((1, 3, 12))
    status = (
        "finished"
        if kind in ("same", "whole")
        else rng.choice(("finished",) * 6 + ("failed", "diverged", "diverged", "running"))
    )
    done = updates if status == "finished" else rng.randrange(updates + 1)
    noise = 1e-3 if kind == "whole" else 0.0 if kind in ("same", "flat") else 10.0 ** rng.randint(-9, -1)
    rows = pd.DataFrame({"update": list(range(done))})
    rows["reward/mean"] = [level + noise * rng.gauss(0, 1) for _ in range(done)]
    if kind == "huge":
        rows["reward/mean"] = [rng.choice((1e308, -1e308, math.inf, 1.0)) for _ in range(done)]
    if kind == "nan" and done:
        rows.loc[rng.randrange(done), "reward/mean"] = math.nan
    if rng.random() < 0.7:
        rows["reward/gold_mean"] = [rng.choice((level, 0.0, math.nan)) for _ in range(done)]
    if rng.random() < 0.8:
        rows["kl/ref_token_exact"] = [rng.choice((0.0, 1e-4, 0.1, 0.5)) for _ in range(done)]
    for crash in ("crash/reward", "crash/hacking"):
        if rng.random() < 0.8:
            rows[crash] = [float(rng.random() < 0.1) for _ in range(done)]
    info = RunInfo(status=status, experiment="e", arm=arm, seed=seed, updates=updates)
    config = {"reward": {"name": rng.choice(("a", "a", "b"))}} if kind == "config" else {}
    return RunRecord(
        directory=Path(arm) / str(seed), info=info, config=config, overrides=[], metrics=rows, samples=[], events=[],
        damaged=[], non_finite={},
    )  # fmt: skip


def random_report(number: int) -> dict[str, Any]:
    """``report.json`` of some runs of 1 to 8 arms, drawn from ``number``."""
    rng = random.Random(number)
    kind = rng.choice(("", "same", "flat", "huge", "nan", "config", "whole", "whole"))
    shared, seeds = kind == "whole" or rng.random() < 0.6, rng.randint(5, 6)
    runs = []
    for place, arm in enumerate(ARMS[: rng.randint(1, 3 if kind == "whole" and number % 2 else 8)]):
        level = 0.5 if kind == "same" else rng.choice((0.0, 0.5, 0.5 + 0.1 * place, rng.random(), 1e-7))
        first = 0 if shared or rng.random() < 0.5 else rng.randint(0, 7)
        of_arm = kind if kind in ("same", "whole") or rng.random() < 0.5 else ""
        number_of = seeds if kind == "whole" else rng.randint(1, 6)
        runs += [record(rng, arm, first + n, level, of_arm) for n in range(number_of)]
    choices = Choices(
        baseline=ARMS[0], crash_policy=rng.choice(("last_value", "floor", "exclude")), window=rng.choice((2, 5))
    )
    return json.loads(to_json(build_report(arranged(runs), choices)))


def named(clause: str, among: tuple[str, ...] = ARMS) -> tuple[list[str], int]:
    """The arms that a list of names has, and how many it stands for: ``a, b and 7 others`` for nine."""
    others = re.search(r"(\d+) others", clause)
    names = [word for word in re.findall(r"[a-z]+", clause) if word in among]
    return names, len(names) + (int(others.group(1)) if others else 0)


def numbers(value: Any) -> Any:
    """A number of ``report.json``, in which what is not finite is text."""
    return (
        {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)
        if isinstance(value, str)
        else value
    )


def finite(value: Any) -> bool:
    return value is not None and math.isfinite(numbers(value))


def way(gap: dict[str, Any]) -> str:
    low, high = numbers(gap["low"]), numbers(gap["high"])
    return "" if low is None or high is None else "above" if low > 0 else "below" if high < 0 else "apart"


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in report["comparisons"] if row["measure"] == report["primary"]]


def value_of(shown: str) -> float:
    return float(shown.replace("−", "-").replace(",", "").replace("∞", "inf"))


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "panels", lambda *_: [])  # curves are half of the time, and no sentence reads them
        return [random_report(number) for number in range(REPORTS)]


def sentences(reports: list[dict[str, Any]], part: str, beginning: str) -> Iterator[tuple[dict[str, Any], str]]:
    for report in reports:
        yield from ((report, line) for line in report[part] if line.startswith(beginning))


def test_no_sentence_has_a_number_that_is_none_or_a_plural_of_one(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        for line in (*report["verdict"], *report["limits"], *report["notes"]):
            assert not FORBIDDEN.search(line), line
            assert line.endswith(".") or line in report["notes"], line


def test_the_headline_puts_every_arm_where_its_numbers_are(reports: list[dict[str, Any]]) -> None:
    clauses = {
        "above": r"([^;.()]*?) lies? above", "below": r"([^;.()]*?) lies? below",
        "apart": r"([^;.()]*?) cannot be told apart from", "single": r"([^;.()]*?) ha(?:s|ve) a single seed in common",
        "unknown": r"([^;.():]*?) (?:shares? no seed|ha(?:s|ve) (?:no run|no value|a value at no|no finite))",
    }  # fmt: skip
    told = dict.fromkeys(clauses, 0)
    for report, line in sentences(reports, "verdict", "In "):
        base = next(arm for arm in report["arms"] if arm["name"] == report["baseline"])
        if not base["estimates"][report["primary"]]["n"]:
            assert "nothing can be compared with it" in line
            continue
        expected: dict[str, list[str]] = {kind: [] for kind in clauses}
        for row in rows_of(report):
            gap = row["difference"]
            kind = "unknown" if not finite(gap["mean"]) else "single" if gap["n"] == 1 else way(gap)
            expected[kind].append(row["arm"])
        main = line.split(". The test")[0]
        for kind, pattern in clauses.items():
            found = [
                named(clause.split(", ", 1)[-1] if clause.startswith("In ") else clause)
                for clause in re.findall(pattern, main)
            ]
            names = [name for part, _ in found for name in part]
            if kind == "below" and expected["above"]:
                names = [name for name in names if name in expected["below"]]
                found = [(names, len(names) + len(expected["below"]) - len(names))] if found else []
            assert set(names) <= set(expected[kind]), (kind, line)
            assert sum(count for _, count in found) == len(expected[kind]), (kind, line)
            told[kind] += len(expected[kind])
    assert min(told.values()) > 5, told


def test_each_arm_has_its_sentence_with_its_numbers(reports: list[dict[str, Any]]) -> None:
    seen = {"a clear": 0, "could not": 0, "not told apart": 0, "indicative": 0}
    for report in reports:
        if report["verdict"][0].startswith("No run"):
            continue
        known = [row for row in rows_of(report) if finite(row["difference"]["mean"])]
        of_arm = {line.split(":")[0]: line for line in report["verdict"][1:] if line.split(":")[0] in ARMS}
        assert set(of_arm) <= {row["arm"] for row in known}
        more = [line for line in report["verdict"] if "further arm" in line and "differ" in line]
        assert len(of_arm) + (int(more[0].split()[0]) if more else 0) == len(known)
        for row in known:
            if (line := of_arm.get(row["arm"])) is None:
                continue
            gap, mean = row["difference"], numbers(row["difference"]["mean"])
            shown = value_of(re.search(r", ([+−]?[\d.,]+(?:e[+−]\d+)?) (?:\[|against)", line).group(1))  # type: ignore[union-attr]
            assert (shown > 0, shown < 0) == (mean > 0, mean < 0), line
            apart = way(gap) in ("above", "below")
            clear = apart and gap["n"] >= 5 and row["p_holm"] < 0.05
            assert ("a clear difference" in line) == clear, line
            assert ("could not confirm it" in line) == (
                apart and not clear and gap["n"] >= 5 and row["p_holm_floor"] >= 0.05
            )
            assert ("leaves out zero" in line) == (apart and not clear), line
            if apart:
                low, high = map(value_of, re.search(r"\[([^,]+(?:,\d{3})*), ([^\]]+)\]", line).groups())  # type: ignore[union-attr]
                assert low > 0 or high < 0, line
            for kind in seen:
                seen[kind] += kind in line
    assert min(seen.values()) > 0, seen


def test_no_p_value_is_below_what_is_said_to_be_its_least(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        for row in report["comparisons"]:
            if row["p"] is not None:
                assert row["p"] >= row["p_floor"] - 1e-12
                assert row["p_holm"] >= row["p_holm_floor"] - 1e-12
    for report, line in sentences(reports, "limits", "With "):
        n, floor = int(line.split()[1]), float(re.search(r"p below ([\d.]+):", line).group(1))  # type: ignore[union-attr]
        there = [row for row in rows_of(report) if row["difference"]["n"] == n]
        names, count = named(line.split(", however")[0])
        assert (
            (len(there) == count and set(names) <= {row["arm"] for row in there})
            if names
            else len(there) == len(rows_of(report))
        )
        assert all(row["p_floor"] == pytest.approx(floor) and row["p"] >= 0.05 for row in there), line
    for report in reports:
        few = {
            row["difference"]["n"] for row in rows_of(report) if row["p_floor"] is not None and row["p_floor"] >= 0.05
        }
        assert len(few) == sum(line.startswith("With ") for line in report["limits"])


def test_crashes_are_counted_for_every_arm(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        counted = [arm for arm in report["arms"] if arm["counted"]]
        looked = {arm["name"]: arm["crashed"]["crash/reward"] for arm in counted if "crash/reward" in arm["crashed"]}
        lines = [line for line in report["verdict"] if line.startswith(("Reward crashed", "No run had a reward"))]
        assert len(lines) == (1 if looked else 0)
        for line in lines:
            for name, k, n in re.findall(r"(\w+) in (\d+) of (\d+) run", line):
                assert (looked[name]["k"], looked[name]["n"]) == (int(k), int(n))
            fallen = line.startswith("Reward crashed")
            assert fallen == any(rate["k"] for rate in looked.values())
            parts = line.split("; ")
            assert (named(parts[0])[1] if fallen else 0) == sum(rate["k"] > 0 for rate in looked.values())
            blind = [part for part in parts if "did not look" in part]
            assert (named(blind[0])[1] if blind else 0) == len(counted) - len(looked)
    for report, line in sentences(reports, "limits", "No difference in reward-crash rates"):
        compared = [
            row for row in report["crash_comparisons"] if row["kind"] == "crash/reward" and row["p"] is not None
        ]
        names, count = named(line.split(" can be")[0])
        of_line = [row for row in compared if row["p_floor"] >= 0.05]
        assert set(names) <= {row["arm"] for row in of_line}
        assert count in (0, len(of_line))
        assert all(row["p"] >= 0.05 for row in (of_line if names else compared)), line


def test_gold_is_ranked_by_means_over_the_same_seeds(reports: list[dict[str, Any]]) -> None:
    ranked = 0
    for report, line in sentences(reports, "verdict", "By the gold score"):
        seeds, means = (
            set(report["gold"]["seeds"]),
            dict(zip(report["gold"]["arms"], report["gold"]["means"], strict=True)),
        )
        assert ("no seed in common" in line) == (not seeds)
        if not any(arm["cut_short"] for arm in report["arms"]) and report["crash_policy"] == "last_value":
            for arm, mean in means.items():
                found = [numbers(run["measures"]["gold_final"]) for run in report["runs"]
                         if run["arm"] == arm and run["counted"] and run["seed"] in seeds]  # fmt: skip
                assert len(found) == len(seeds)
                assert not seeds or sum(found) / len(found) == pytest.approx(mean)
        if match := re.search(r"By the gold score, (.*) ends? highest \((.*?)\) and (.*) lowest \((.*?)\)", line):
            best, worst = value_of(match.group(2)), value_of(match.group(4))
            assert best > worst
            assert best == pytest.approx(max(means.values()), abs=0.006)
            assert worst == pytest.approx(min(means.values()), abs=0.006)
            ranked += 1
    assert ranked > 2


def test_steadiness_speaks_of_every_arm_and_in_the_right_direction(reports: list[dict[str, Any]]) -> None:
    compared = 0
    for report in reports:
        key = "reward_sd_rolling"
        levels = {arm["name"]: numbers(arm["estimates"][key]["mean"]) for arm in report["arms"]}
        others = [name for name, level in levels.items() if finite(level) and name != report["baseline"]]
        lines = [line for line in report["verdict"] if line.startswith("From update to update")]
        assert len(lines) == (1 if finite(levels[report["baseline"]]) and others else 0)
        for line in lines:
            rest = line.split("; ", 1)[1]
            spoken = {
                name: remark for name, remark in re.findall(r"(\w+) \d[\d.e+−]*( \([^)]*\))?", rest) if name in ARMS
            }
            for name, remark in spoken.items():
                assert ("times less" in remark) <= (levels[name] < levels[report["baseline"]])
                assert ("times that" in remark) <= (levels[name] > levels[report["baseline"]])
                compared += "times" in remark
            alike = re.search(r"(?:all|the) (\d+) others|(\w+) within 10", rest)
            near = 0 if alike is None else int(alike.group(1) or 1)
            further = re.search(r"(\d+) further", rest)
            assert len(spoken) + near + (int(further.group(1)) if further else 0) == len(others), line
    assert compared > 20


def test_what_is_not_comparable_is_said(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        said = " ".join(report["limits"])
        caveats = " ".join(report["caveats"])
        assert set(report["caveats"]) <= set(report["verdict"])
        diverged = {arm["name"]: arm["diverged"]["k"] for arm in report["arms"] if arm["diverged"]["k"]}
        assert ("Diverged, or ended by a guard" in caveats) == bool(diverged)
        if diverged:
            clause = caveats.split("ended by a guard: ")[1].split(". That")[0]
            assert {
                name: int(k) for k, name in re.findall(r"(\d+) of \d+ runs? of (\w+)", clause)
            }.items() <= diverged.items()
        unfinished = {arm["name"]: arm["unfinished"] for arm in report["arms"] if arm["unfinished"]}
        assert ("Left out, because they did not finish" in caveats) == bool(unfinished)
        if unfinished:
            clause = caveats.split("did not finish: ")[1].split("). ")[0]
            named_with = {name: int(k) for k, name in re.findall(r"(\d+) of \d+ runs? of (\w+) \(", clause)}
            assert named_with.items() <= unfinished.items()
            assert len(named_with) == min(len(unfinished), 4 if len(unfinished) > 5 else 5)
        rewards = [set(row["values"].values()) - {"–"} for row in report["differences"] if row["key"] == "reward.name"]
        assert ("not have the same reward" in caveats) == any(len(values) > 1 for values in rewards)
        orders = {tuple(arm for arm, mean in zip(row["arms"], row["means"], strict=True) if mean is not None)
                  for row in report["rankings"]}  # fmt: skip
        assert ("The ranking in" in said) == (len(orders) > 1)
        levels = [kl for arm in report["arms"] if finite(kl := arm["estimates"]["kl_final"]["mean"])]
        apart = len(levels) > 1 and max(levels) > 1.5 * min(levels)
        assert ("end at different KL" in said) == apart
        if apart:
            low, high = re.search(r"from ([^ ]+) \(\w+\) to ([^ ]+) \(", said).groups()  # type: ignore[union-attr]
            assert value_of(low) < value_of(high)
            assert ("a table of its own" in said) == bool(report["equal_kl"])
