"""What is set in Hydra's own node acts, or is refused: also where a file sets it."""

from pathlib import Path

import pytest

from safelab.app.config.compose import compose, opened
from safelab.errors import ConfigError


@pytest.mark.parametrize("overrides", [[], ["hydra.run.dir=."], ["hydra.job.chdir=false"], ["hydra.mode=RUN"]])
def test_what_is_so_anyway_is_no_mistake(overrides: list[str]) -> None:
    with opened() as hydra:
        compose(hydra, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["hydra.launcher.workers=2"],
        ["hydra.sweeper.max_batch_size=2"],
        ["hydra/launcher=basic", "hydra.job.name=x", "hydra.verbose=true"],  # Hydra sees to them there
    ],
)
def test_what_acts_on_many_jobs_is_taken_with_them(overrides: list[str]) -> None:
    with opened() as hydra:
        compose(hydra, overrides, multirun=True)


def test_a_file_is_asked_as_the_command_line_is(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text("# @package _global_\nhydra:\n  run: {dir: here}\n")
    with (
        opened(str(tmp_path)) as hydra,
        pytest.raises(ConfigError, match=r"^hydra.run.dir has no effect here, got here"),
    ):
        compose(hydra, ["+recipe=mine"])


def test_a_primary_file_that_leaves_hydra_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("defaults: [override hydra/launcher: local]\na: 1\n")
    with opened(str(tmp_path)) as hydra:
        assert compose(hydra, [], name="plain").a == 1
