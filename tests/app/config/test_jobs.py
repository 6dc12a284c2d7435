from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from safelab.app.config.jobs import Job, check_directories, merged, to_job
from safelab.errors import ConfigError

CONF = Path(__file__).parents[3] / "conf"


def composed(config: dict, overrides: list[str] | None = None, algorithm: str | None = "ppo"):
    """A configuration with as much of Hydra's node as a job reads."""
    hydra = {"overrides": {"task": overrides or []}, "runtime": {"choices": {"algorithm": algorithm}}}
    base = {"experiment": "e", "arm": None, "seed": 0, "output_dir": "out"}
    return OmegaConf.create({**base, **config}), OmegaConf.create(hydra)


def job(**config) -> Job:
    base = {"experiment": "e", "arm": "a", "seed": 0, "output_dir": "out", "resume": {"mode": "auto", "allow": []}}
    return Job(config={**base, **config}, overrides=(f"seed={config.get('seed', 0)}",))


def test_a_job_is_plain_values_and_an_arm() -> None:
    made = to_job(*composed({"a": {"b": "${seed}"}}, ["a.b=1"]))
    assert made.config["a"] == {"b": 0}
    assert made.config["arm"] == "ppo,a.b=1"
    assert made.overrides == ("a.b=1",)
    assert made.name == "ppo,a.b=1 seed 0"
    assert made.directory == Path("out/e/ppo,a.b=1/seed_0")


def test_a_given_arm_stays() -> None:
    assert to_job(*composed({"arm": "mine"}, ["a.b=1"])).config["arm"] == "mine"


def test_every_key_without_a_value_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        to_job(*composed({"data": {"path": "???"}, "policy": {"path": "???"}}))
    assert [line.split()[0] for line in str(error.value).splitlines()] == ["data.path", "policy.path"]


@pytest.mark.parametrize("key", ["experiment", "arm"])
@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "a\\b", "a\nb", 7, "x" * 256])
def test_experiment_and_arm_are_names_of_one_folder(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        to_job(*composed({key: value}))


def test_a_fault_that_all_share_is_told_once_and_others_with_their_jobs() -> None:
    faults = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("b", "y")]
    assert merged(faults, 4) == ["x", "y (in b)"]
    assert merged(faults, 5) == ["x (in a, b, c and 1 more)", "y (in b)"]


def test_directories_that_are_free_are_no_trouble(tmp_path: Path) -> None:
    assert check_directories([job(output_dir=str(tmp_path), seed=seed) for seed in range(3)]) == []
    assert list(tmp_path.iterdir()) == []


def test_jobs_in_one_place_are_named(tmp_path: Path) -> None:
    lines = check_directories([job(output_dir=str(tmp_path)), job(output_dir=str(tmp_path)), job(seed=1)])
    assert len(lines) == 1
    assert lines[0].startswith(f"2 jobs of this sweep would write {tmp_path}/e/a/seed_0: (seed=0) and (seed=0);")


def test_a_directory_of_another_run_is_refused_and_one_of_the_same_is_not(tmp_path: Path) -> None:
    from safelab.runlog.schema import RunInfo
    from safelab.runlog.writer import RunWriter

    plain, adamw = {"name": "none"}, yaml.safe_load((CONF / "optimizer" / "adamw.yaml").read_text())
    there = job(output_dir=str(tmp_path), correction=plain, optimizer={**adamw, "lr": 0.1}, updates=5)
    info = RunInfo(status="finished", experiment="e", arm="a", seed=0, updates=5, last_update=4)
    RunWriter.create(there.directory, there.config, [], info).close()
    assert check_directories([there]) == []
    assert (
        check_directories([job(output_dir=str(tmp_path), correction=plain, optimizer={**adamw, "lr": 0.1}, updates=9)])
        == []
    )
    (line,) = check_directories(
        [job(output_dir=str(tmp_path), correction=plain, optimizer={**adamw, "lr": 0.2}, updates=5)]
    )
    assert "optimizer.lr: 0.1 there, 0.2 now" in line
    assert "experiment=... or arm=..." in line
