"""The comments of ``conf/`` by key; and every key there has one."""

from pathlib import Path

import pytest

from safelab.app.config.described import comments, comments_of, defaults, story
from safelab.app.config.help import story as told

CONF = Path(__file__).parents[3] / "conf"
PRESETS = {"algorithm", "recipe", "sweep"}
"""Their keys are those of the groups that they set."""

FILES = sorted(path for path in CONF.rglob("*.yaml") if path.parent.name not in PRESETS)

TEXT = """# The first line
# and the second.
defaults:
  - adapter: none  # none | lora
  - _self_
name: x            # not this one
path: "a # b"      # of a place, don't ask
plain: 3
url: a#b
# said above
below: 1
outer:             # of all
  inner:
    deep: [1, 2]   # at the bottom
  next: {a: 1}
"""


def test_each_key_has_the_comment_beside_it() -> None:
    assert comments(TEXT) == {
        "name": "not this one", "path": "of a place, don't ask", "plain": "", "url": "", "below": "said above",
        "outer": "of all", "outer.inner": "", "outer.inner.deep": "at the bottom", "outer.next": "",
    }  # fmt: skip


def test_a_file_says_what_it_is() -> None:
    assert story(TEXT) == "The first line and the second."
    assert story("# @package _global_\nname: x  # by name\n") == "by name"
    assert [*defaults(TEXT)] == [("adapter", "none", "none | lora")]


def test_there_is_something_to_judge() -> None:
    assert len(FILES) >= 80


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_key_says_what_it_means(path: Path) -> None:
    group = path.parent.relative_to(CONF).as_posix()
    own = comments(path.read_text(encoding="utf-8"))
    merged = own if group == "." else comments_of([CONF], group, path.stem)
    leaves = [key for key in own if not any(other.startswith(f"{key}.") for other in own)]
    silent = [
        key for key in leaves if not merged.get(key) and key != "name" and (group, key.split(".")[0]) != (".", "hydra")
    ]
    assert silent == []
    assert group == "." or told(path, group)


@pytest.mark.parametrize("path", sorted((CONF / "algorithm").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_method_says_what_it_is(path: Path) -> None:
    assert told(path, "algorithm")
