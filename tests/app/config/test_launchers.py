import pytest

from safelab.app.config import launchers
from safelab.app.config.compose import compose, opened
from safelab.errors import ConfigError


def launcher(*overrides: str):
    with opened() as hydra:
        return compose(hydra, ["seed=0,1", *overrides], multirun=True).hydra.launcher


@pytest.mark.parametrize(("site", "here"), [("local", True), ("ray", False), ("slurm", False)])
def test_each_of_ours_says_where_it_runs(site: str, here: bool) -> None:
    node = launcher(f"hydra/launcher={site}")
    assert launchers.site_of(node) == site
    assert launchers.is_here(node) == here
    assert isinstance(launchers.told(node), launchers.SITES[site])


def test_hydras_own_runs_here_and_is_not_ours() -> None:
    node = launcher("hydra/launcher=basic")
    assert launchers.site_of(node) is None
    assert launchers.is_here(node)
    assert launchers.told(node) is None


# From the manual of sbatch, --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours, ...
@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("30", 1800), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129_600), ("1-12:30", 131_400),
        ("1-12:30:15", 131_415), ("soon", None), ("1:2:3:4", None),
    ],
)  # fmt: skip
def test_times_are_read_as_slurm_reads_them(time: str, seconds: int | None) -> None:
    assert launchers.seconds_of(time) == seconds


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["hydra/launcher=local", "hydra.launcher.workers=0"], "hydra.launcher.workers must be >= 1, got 0"),
        (["hydra/launcher=ray", "hydra.launcher.gpus=-1"], "hydra.launcher.gpus must be >= 0, got -1"),
        (["hydra/launcher=ray", "hydra.launcher.cpus=many"], "hydra.launcher.cpus must be a valid integer, got 'many'"),
        (["hydra/launcher=ray", "hydra.launcher.address=head"], "hydra.launcher.address must be host:port of the"),
        (["hydra/launcher=slurm", "hydra.launcher.time=soon"], "hydra.launcher.time must be minutes, or a time as"),
        (["hydra/launcher=slurm", "hydra.launcher.time=2"], "hydra.launcher.warn_s must be less than hydra.launcher.t"),
        (
            ["hydra/launcher=slurm", "hydra.launcher.account=''"],
            "hydra.launcher.account must have at least 1 character",
        ),
        (["hydra/launcher=slurm", "hydra.launcher.poll_s=0"], "hydra.launcher.poll_s must be > 0, got 0"),
        (["hydra/launcher=slurm", "hydra.launcher.lines=[qos]"], "hydra.launcher.lines must be options of sbatch as"),
        (["hydra/launcher=slurm", "+hydra.launcher.partion=a"], "did you mean 'partition'?"),
        (["hydra/launcher=slurm", "hydra.launcher.site=pbs"], "hydra.launcher.site must be local, ray, slurm, got 'pb"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        launcher(*overrides)
    assert said in str(told.value)
