"""Each published run has numbers with their places, a preset with its settings, and a sweep with its arms."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from safelab.app.config.compose import compose, opened

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "src" / "safelab" / "results" / "published"
NAMES = sorted(path.stem for path in FOLDER.glob("*.csv"))
COLUMNS = ["arm", "quantity", "metric", "value", "sd", "n", "unit", "margin", "place"]
# What a YAML must have; a list of sentences, or one.
KEYS = ("title", "source", "claim", "settings", "departures", "margin_reason", "unread")


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        return [*csv.DictReader(file, strict=True)]


def arms(name: str) -> dict:
    return yaml.safe_load((ROOT / "conf" / "sweep" / f"{name}.yaml").read_text())["arms"]


def test_there_are_published_runs() -> None:
    assert len(NAMES) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_it_has_every_file(name: str) -> None:
    missing = [path for path in (
        FOLDER / f"{name}.yaml", ROOT / "conf" / "recipe" / f"{name}.yaml", ROOT / "conf" / "sweep" / f"{name}.yaml",
    ) if not path.is_file()]  # fmt: skip
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_its_numbers_are_numbers_of_arms_that_are_there_and_say_where_they_were_read(name: str) -> None:
    header = (FOLDER / f"{name}.csv").read_text().splitlines()[0].split(",")
    assert header[: len(COLUMNS)] == COLUMNS
    # Where one of ours stands for theirs, the YAML says which.
    about = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    known = {*arms(name)} | {theirs for choice in about.get("stands_for", []) for theirs in choice}
    for row in rows(name):
        assert {*row["arm"].split("/")} <= known
        float(row["value"])
        assert row["quantity"]
        assert row["place"]
        assert bool(row["margin"]) <= bool(row["metric"]), "a margin for what is not measured"


@pytest.mark.parametrize("name", NAMES)
def test_its_page_says_what_it_is_and_what_differs(name: str) -> None:
    about = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    assert [key for key in KEYS if not about.get(key)] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_of_the_preset_says_where_it_is_from(name: str) -> None:
    lines = (ROOT / "conf" / "recipe" / f"{name}.yaml").read_text().splitlines()
    numbers = [line for line in lines if line.startswith("  ") and line.rstrip()[-1:].isdigit() and "#" not in line]
    assert numbers == []


@pytest.mark.parametrize("kind", ["ppo", "bon"])
def test_arms_of_ensembles_differ_in_their_reward_alone(kind: str) -> None:
    of_kind = {name: arm for name, arm in arms("coste_alpacafarm").items() if name.startswith(f"{kind}_")}
    assert [*of_kind] == [f"{kind}_{combined}" for combined in ("single", "mean", "wco", "uwo")]
    mean = of_kind[f"{kind}_mean"]
    for arm in of_kind.values():
        assert {key: value for key, value in arm.items() if not key.startswith("reward.")} == mean
    one = of_kind[f"{kind}_single"]["reward.members"]
    assert [member["path"] for member in one] == ["models/rm-pythia-44m_seed1"] * 2
    recipe = yaml.safe_load((ROOT / "conf" / "recipe" / "coste_alpacafarm.yaml").read_text())
    assert one == [recipe["reward"]["members"][0]] * 2


def test_the_command_for_costes_reward_models_makes_what_the_recipe_reads() -> None:
    page = " ".join(yaml.safe_load((FOLDER / "coste_alpacafarm.yaml").read_text())["departures"])
    (command,) = re.findall(r'"safelab reward-model ([^"]+)"', page)
    with opened() as hydra:
        config = compose(hydra, [*command.split(), "labels.noise=0.25", "labels.path=GOLD"], name="reward_model")
    recipe = yaml.safe_load((ROOT / "conf" / "recipe" / "coste_alpacafarm.yaml").read_text())
    member = recipe["reward"]["members"][0]
    assert config.output == member["path"]
    assert (config.template, config.max_tokens) == (member["template"], member["max_tokens"])
    assert {"labels.noise=0.25", "labels.path=GOLD"} <= {*re.findall(r"labels\.\w+=[\w.]+\w", page)}
