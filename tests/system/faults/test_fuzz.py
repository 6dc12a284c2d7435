"""Overrides and files that nobody meant; scripts/tools/chaos does the same with more examples."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from scripts.tools.chaos import fuzz

from safelab.app.config.compose import opened

# What is found is small as it is; shrinking it would take minutes.
PHASES = (Phase.explicit, Phase.generate)


@settings(max_examples=45, phases=PHASES)
@given(fuzz.overrides())
def test_overrides_end_in_a_sound_configuration_or_in_one_message(words: list[str]) -> None:
    with opened() as hydra:
        fuzz.ending(hydra, words)


@settings(max_examples=15, phases=PHASES)
@given(fuzz.YAMLS)
def test_a_configuration_file_ends_in_a_sound_configuration_or_in_one_message(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fuzz.ending_of_file(Path(folder), text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]\n", "a configuration must not contain itself"),
        ("5", "a configuration file must hold keys with values"),
        ("lr: !!python/name:os.system\n", "could not determine a constructor"),
    ],
)
def test_files_that_were_found_by_it(text: str, said: str, tmp_path: Path) -> None:
    assert said in fuzz.ending_of_file(tmp_path, text)


def test_both_endings_are_met() -> None:
    with opened() as hydra:
        assert fuzz.ending(hydra, ["seed=3"]) == "sound"
        assert "seed" in fuzz.ending(hydra, ["seed=-3"])
