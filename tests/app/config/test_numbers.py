"""Text that an interpolation gives is read as a number where the option is one, and stays text where it is not."""

import pytest

from safelab.app.config.build import problems
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import to_job

NUMBERS = [
    ("optimizer.lr", "1e-4", 1e-4),
    ("seed", "7", 7),
    ("optimizer.max_grad_norm", "null", None),
    ("policy.gradient_checkpointing", "true", True),
    ("world.language_model.lr", "0.5", 0.5),
    ("controller.threshold.pid.kp", "3", 3),  # in a nested part's own keys
    ("experiment", "007", "007"),
    ("reward.name", "1", "1"),
    ("critic.read_at", "1", "1"),  # one of a few words
]


@pytest.mark.parametrize(("key", "text", "value"), NUMBERS, ids=[key for key, _, _ in NUMBERS])
@pytest.mark.parametrize("form", ["${oc.env:GIVEN}", "${oc.env:NOT_GIVEN,TEXT}"])
def test_text_from_the_environment(monkeypatch, key: str, text: str, value: object, form: str) -> None:
    monkeypatch.setenv("GIVEN", text)
    written = form.replace("TEXT", f"'{text}'")
    with opened() as hydra:
        config = to_job(compose(hydra, ["algorithm=safe", f"{key}={written}"])).config
    for part in key.split("."):
        config = config[part]
    assert (config, type(config)) == (value, type(value))


def test_what_stands_elsewhere_is_read_there_too(monkeypatch) -> None:
    monkeypatch.setenv("GIVEN", "11")
    with opened() as hydra:
        config = to_job(compose(hydra, ["seed=${oc.env:GIVEN}", "world.seed=${seed}"])).config
    assert (config["data"]["seed"], config["policy"]["world"]["seed"]) == (11, 11)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimizer.lr=${oc.env:GIVEN}", "optimizer.lr must be a valid number, got 'many'"),
        ("optimizer.lr='1e-4'", "optimizer.lr must be a valid number, got '1e-4'"),  # in quotes: it is meant as text
        ("optimizer.lr=${oc.env:NOT_GIVEN,-1}", "optimizer.lr must be > 0, got -1"),
    ],
)
def test_no_number_is_told(monkeypatch, override: str, told: str) -> None:
    monkeypatch.setenv("GIVEN", "many")
    with opened() as hydra:
        assert problems(to_job(compose(hydra, [override])).config) == [told]
