"""One bad run is named, counted and left out; the others are read. No pipe is waited for, no bomb is unpacked."""

import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.page.document import Choices, build_report, to_json
from safelab.results.replay.steps import run_signals
from safelab.results.runs.load import load
from safelab.results.runs.overview import overview, standings

FILES = ("run.json", "config.yaml", "overrides.yaml", "metrics.jsonl", "samples.jsonl", "events.jsonl")
ROWS = [
    {"update": u, "reward/mean": 0.5, "reward/std": 0.1, "episodes": 8 * (u + 1), "kl/ref_token_k1": 0.1,
     "policy/entropy_token": 1.0, "controller/phase": "CLIMBING", "crash/reward": 0, "time/total_s": 0.5}
    for u in range(4)
]  # fmt: skip


def write(directory: Path, seed: int = 0, **info: object) -> Path:
    """A small run, written by hand."""
    directory.mkdir(parents=True)
    record = {"status": "finished", "experiment": "e", "arm": directory.parent.name, "seed": seed, "updates": 4, **info}
    (directory / "run.json").write_text(json.dumps(record))
    (directory / "config.yaml").write_text("detectors: {reward_crash: {window: 10}}\nreward: {name: x}\n")
    (directory / "overrides.yaml").write_text("[algorithm=safe]\n")
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (directory / "samples.jsonl").write_text('{"update":0,"prompt":"a","response":"b","reward":0.5}\n')
    (directory / "events.jsonl").write_text('{"update":1,"kind":"rollback","restored":0,"number":1}\n')
    return directory


def look_at(root: Path) -> dict[str, object]:
    """Everything that reads runs, without the pictures."""
    shown = overview(standings([root]), 80)
    report = json.loads(to_json(build_report(load([root]), Choices())))
    return {"rows": shown.row_count, **report}


def lines(*rows: str) -> Callable[[Path], object]:
    return lambda run: (run / "metrics.jsonl").write_text("\n".join(rows) + "\n")


def text(name: str, content: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(content)


def changed(key: str, value: str) -> Callable[[Path], object]:
    """``run.json`` with ``key`` as this JSON."""

    def change(run: Path) -> None:
        record = json.loads((run / "run.json").read_text())
        body = ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in record.items() if k != key)
        (run / "run.json").write_text(f"{{{body},{json.dumps(key)}:{value}}}")

    return change


NINE = "[" + ",".join(["*a{0}"] * 9) + "]"
BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} {NINE.format(i - 1)}\n" for i in range(1, 14))
BROKEN = {
    "text for a number": (lines('{"update":0,"reward/mean":"abc"}', '{"update":1,"reward/mean":0.5}'),
                          "reward/mean is no number in 1 of 2 rows, as 'abc'"),
    "lists": (lines('{"update":0,"reward/mean":[1,2]}', '{"update":1,"reward/mean":[3]}'), "no number in 2 of 2 rows"),
    "beyond 64 bit": (lines('{"update":0,"reward/mean":1' + "0" * 400 + "}"), "no number in 1 of 1 rows"),
    "an update beyond 64 bit": (lines('{"update":1' + "0" * 30 + "}"), "metrics.jsonl line 1"),
    "deep JSON": (lines('{"update":0,"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "metrics.jsonl line 1"),
    "a number for a phase": (lines('{"update":0,"controller/phase":"A"}', '{"update":1,"controller/phase":3}'),
                             "controller/phase is no text in 1 of 2 rows"),
    "a seed beyond 64 bit": (changed("seed", "1" + "0" * 40), "seed"),
    "updates beyond 64 bit": (changed("updates", "1" + "0" * 40), "updates"),
    "a pid that is none": (changed("pid", '"x"'), "pid"),
    "deep YAML": (text("config.yaml", "[" * 200_000), "more than 64 levels"),
    "YAML of itself": (text("config.yaml", "a: &x [*x]\n"), "alias *x"),
    "an alias bomb": (text("config.yaml", BOMB), "alias *a0"),
    "a large file": (text("config.yaml", "#" * (5 * 2**20)), "may have"),
    "an impossible date": (text("config.yaml", "a: 2026-99-99\n"), "month must be in"),
    "a number without end": (text("config.yaml", "a: " + "9" * 6000 + "\n"), "is not YAML as runs write it"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_named_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    damage, said = BROKEN[kind]
    damage(write(tmp_path / "bad/seed_0"))
    write(tmp_path / "ppo/seed_0")
    report = look_at(tmp_path)
    assert report["rows"] == 2
    assert "ppo" in {arm["name"] for arm in report["arms"]}  # type: ignore[attr-defined]
    told = [*report["notes"], *(line for run in report["runs"] for line in run["damaged"])]  # type: ignore[attr-defined, misc]
    assert any(said in line for line in told), told


@pytest.mark.parametrize("damage", [
    text("config.yaml", "detectors: [1, 2]\n"), text("config.yaml", "detectors: {reward_crash: 3}\n"),
    text("config.yaml", "detectors: {reward_crash: 2026-01-01}\n"), text("config.yaml", "a: 0x" + "f" * 20_000 + "\n"),
    changed("pid", "-1"), changed("pid", str(2**70)), changed("status", '"running"'),
    text("samples.jsonl", '{"update":0,"prompt":[1],"response":{},"reward":1' + "0" * 400 + ',"gold":"x"}\n'),
    text("events.jsonl", '{"update":0,"kind":"rollback","restored":[],"lr_scale":"\\u001b[1m"}\n'),
    *(lines(f'{{"update":0,"reward/mean":0.5,"time/total_s":{t}}}') for t in ('"x"', "-1", "1e400", "NaN", "[1]")),
])  # fmt: skip
def test_what_is_odd_is_read_as_far_as_it_goes(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    bad = write(tmp_path / "bad/seed_0", status="running", host=os.uname().nodename)
    damage(bad)
    write(tmp_path / "ppo/seed_0")
    assert {arm["name"] for arm in look_at(tmp_path)["arms"]} == {"bad", "ppo"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
@pytest.mark.parametrize("name", FILES)
def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    bad = write(tmp_path / "bad/seed_0")
    write(tmp_path / "ppo/seed_0")
    (bad / name).unlink()
    if kind == "pipe":
        os.mkfifo(bad / name)
    elif kind == "device":
        (bad / name).symlink_to("/dev/zero")
    elif kind == "folder":
        (bad / name).mkdir()
    else:
        monkeypatch.chdir(bad)
        socket.socket(socket.AF_UNIX).bind(name)
    report = look_at(tmp_path)
    told = [*report["notes"], *(line for run in report["runs"] for line in run["damaged"])]  # type: ignore[attr-defined, misc]
    assert any(name in line for line in told), told


def test_no_escape_of_a_run_gets_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safelab.app.commands.runs import main as runs
    from safelab.results.words.terminal import show

    evil = "\x1b]0;evil\x07\x1b[31m"
    bad = write(tmp_path / "bad/seed_0", experiment=evil, arm=evil, reason=evil, host=evil, status="failed")
    (bad / "metrics.jsonl").write_text(json.dumps({"update": 0, evil: 1, "reward/mean": evil}) + f"\n{{{evil}\n")
    (bad / "config.yaml").write_text(f"a: !!x{evil}\n")
    (bad / "events.jsonl").write_text(json.dumps({"update": 0, "kind": "rollback", "lr_scale": evil}) + "\n")
    write(tmp_path / f"bad{evil}/seed_0", arm="x")
    (tmp_path / f"bad{evil}/seed_0/run.json").write_text("{")
    write(tmp_path / "ppo/seed_0")
    show(build_report(load([tmp_path]), Choices(metrics=["reward/mean"])))
    runs([str(tmp_path)])
    shown = capsys.readouterr().out
    assert "evil" in shown
    assert not {char for char in shown if not char.isprintable()} - {"\n"}


DAMAGES = ("cut", "flip", "repeat", "swap", "insert", "empty", "gone")
PIECES = (
    b"\x00", b"\xff\xfe", b"[" * 3000, b"{}", b'"', b"\n\n", b"1e999", b"NaN", b"null", b"-1", b"*a", b"&a ",
    b"\x1b[2J", b"99999999999999999999999", b"!!python/object:os.system", b": ", b"true", b"\xed\xa0\x80", b"2026-13-4",
)  # fmt: skip


def damaged(content: bytes, rng: random.Random) -> bytes | None:
    """The bytes of a file after an accident; None: the file is gone."""
    kind, at = rng.choice(DAMAGES), rng.randrange(len(content) + 1)
    if kind == "gone":
        return None
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return content[: at - 1] + bytes([rng.randrange(256)]) + content[at:]
    if kind == "repeat":
        return content + content[at:]
    if kind == "swap":
        tokens = content.split(b",")
        rng.shuffle(tokens)
        return b",".join(tokens)
    if kind == "insert":
        end = min(len(content), at + rng.choice((0, 0, 1, 3)))
        return content[:at] + rng.choice(PIECES) + content[end:]
    return b""


def broken_folder(folder: Path, number: int) -> Path:
    """A small run of which one to three files met an accident, drawn from ``number``."""
    rng = random.Random(number)
    run = write(folder / f"arm{number}/seed_0")
    for name in rng.sample(FILES, rng.randint(1, 3)):
        content = damaged((run / name).read_bytes(), rng)
        if content is None:
            (run / name).unlink()
        else:
            (run / name).write_bytes(content)
    return run


def test_three_hundred_broken_folders_are_read_or_named(tmp_path: Path) -> None:
    for number in range(300):
        broken_folder(tmp_path, number)
    write(tmp_path / "ppo/seed_0")
    found = load([tmp_path])
    assert 30 < len(found.runs) < 301
    assert len(found.runs) + len(found.unreadable) + gone(tmp_path) == 301
    assert len(standings([tmp_path])) + gone(tmp_path) == 301
    report = json.loads(to_json(build_report(found, Choices(baseline="ppo"))))
    assert report["baseline"] == "ppo"
    stepped = 0
    for run in found.runs:
        try:
            stepped += bool(run_signals(run.record.directory))
        except DataError as error:
            assert "must hold rows with" in str(error)  # noqa: PT017 (either outcome is right)
    assert stepped > 30


def gone(root: Path) -> int:
    """Folders in which nothing says any more that they were runs."""
    return sum(not ({"run.json", "metrics.jsonl"} & set(os.listdir(run))) for run in root.glob("*/seed_0"))


@pytest.mark.parametrize("number", range(5))
def test_broken_folders_through_the_commands(tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    from safelab.app.cli import main

    write(tmp_path / "runs/ppo/seed_0")
    broken = broken_folder(tmp_path / "runs", 1000 + number)
    replay = ["replay", str(broken), "controller=safe", "--output", str(tmp_path / "o.csv")]
    for command in (["runs", str(tmp_path / "runs")], ["report", str(tmp_path / "runs")], replay):
        assert main(command) in (0, 2)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert "\x1b" not in captured.out + captured.err
    shutil.rmtree(tmp_path / "runs")
