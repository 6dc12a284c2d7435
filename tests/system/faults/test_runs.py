"""The fault campaign of scripts/tools/chaos in short; docs/reliability.md has the figures of the long one."""

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from scripts.tools.chaos import bits, disks, kills, poison, writes
from scripts.tools.chaos.world import Campaign, World, differences, in_child, make_world, run_of


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with TemporaryDirectory(prefix="safelab-faults-") as folder:
        yield make_world(Path(folder))


def sound(campaign: Campaign, tries: int) -> None:
    assert campaign.findings == []
    assert campaign.tries >= tries


def test_kill_9_at_random_moments_loses_no_row(world: World) -> None:
    sound(kills.kills_at_random(world, 1, random.Random(3)), 1)


def test_kill_9_at_a_write_loses_no_row(world: World) -> None:
    sound(kills.kills_at_writes(world, [60, 301]), 2)


def test_a_write_that_fails_once_is_done_again(world: World) -> None:
    sound(writes.writes_that_fail(world, [9, 260], "once"), 2)


def test_where_no_write_works_any_more_the_run_ends_in_one_message_and_goes_on_later(world: World) -> None:
    sound(writes.writes_that_fail(world, [151], "always"), 1)


def test_a_flipped_byte_is_seen_wherever_it_is(world: World) -> None:
    sound(bits.flips(world, 2), 24)


def test_a_folder_that_is_removed_under_the_run_is_told(world: World) -> None:
    sound(disks.lost_folders(world, 2, random.Random(0)), 0)


def test_a_full_disk_and_a_read_only_one_end_in_one_message(world: World, tmp_path: Path) -> None:
    if not disks.may_mount(tmp_path):
        # The same errors, injected at a write of the run's own.
        sound(writes.writes_that_fail(world, [33], "always"), 1)
        return
    sound(disks.full_disks(world, [72]), 1)
    sound(disks.read_only_disks(world, [0.0]), 1)


def test_nan_in_a_tensor_is_never_written_down_and_never_unseen(tmp_path: Path) -> None:
    sound(poison.nan_in_each_tensor(tmp_path, stride=9), 20)


def test_the_campaign_finds_what_it_is_for(world: World, tmp_path: Path) -> None:
    output = tmp_path / "lost_row"
    assert in_child(lambda: world.train(output)).code == 0
    rows = run_of(output) / "metrics.jsonl"
    assert differences(run_of(output), world.reference) == []
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))
    assert differences(run_of(output), world.reference) == ["metrics.jsonl: 9 lines for 10, [] differ"]
    (run_of(output) / ".lock").write_text("")
    assert "left over: ['.lock']" in differences(run_of(output), world.reference)
