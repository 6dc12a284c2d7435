import io
import json
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from safelab.errors import ConfigError
from safelab.parts.tracker import wandb as tracker
from safelab.plugins import faults

RUN = {"experiment": "demo", "arm": "safe", "seed": 1, "started": "2026-01-01T00:00:00+00:00"}


def option(mode: str = "offline", connect_timeout: float = 1.0) -> tracker.Wandb:
    return tracker.Wandb(
        name="wandb", mode=mode, project="p", entity=None, connect_timeout=connect_timeout, tags=[], notes=None
    )


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", server)
    return server


@pytest.fixture
def open_port(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


OFFLINE_RUN = """
import sys, socket, pathlib
from safelab.parts.tracker.wandb import Wandb

words = {"tags": ["pilot"], "notes": "a first look"}
tracker = Wandb(name="wandb", mode="offline", project="p", entity=None, connect_timeout=1.0, **words).build(None)
run = {"experiment": "e", "arm": "x", "seed": 0, "started": "now", "git_commit": "c0ffee", "versions": {"torch": "2"}}
mirror = tracker.start(pathlib.Path(sys.argv[1]), {"a": {"b": 1}}, run)
mirror.log({"update": 0, "reward/mean": 0.5, "kl/ref_token_k1": None})
mirror.samples(0, [{"update": 0, "prompt": "Hello", "reward": 1.5}, {"update": 0, "prompt": "Bye", "reward": None}])
mirror.finish("finished")
"""


@pytest.mark.slow
def test_offline_needs_no_key_says_nothing_and_stays_in_the_runs_directory(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "run", tmp_path / "cwd"
    place.mkdir()
    elsewhere.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "home"), "WANDB_BASE_URL": "http://127.0.0.1:9"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE_RUN, str(place)],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 30
    assert list(elsewhere.iterdir()) == []
    written = list(place.rglob("run-*.wandb"))
    assert len(written) == 1
    content = written[0].read_bytes()
    assert all(word in content for word in (b"reward/mean", b"pilot", b"a first look", b"c0ffee"))
    (table,) = place.rglob("*.table.json")
    assert json.loads(table.read_text()) == {"columns": ["prompt", "reward"], "data": [["Hello", 1.5], ["Bye", None]]}


def test_online_without_a_key_is_refused_before_anything_starts(no_key: None, open_port: None, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ConfigError, match=r"no key for 127.0.0.1.*tracker.mode=offline"):
        option("online").build(None)


def test_online_without_a_server_is_refused_within_the_timeout(monkeypatch, closed_port: str) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.raises(ConfigError, match=rf"{closed_port} did not answer within 1 s"):
        option("online").build(None)


def test_online_is_built_with_a_key_and_a_server(monkeypatch, open_port: None) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert isinstance(option("online").build(None), tracker.Wandb)


def test_a_key_in_netrc_counts(no_key: None, open_port: None, monkeypatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    host = tracker.os.environ["WANDB_BASE_URL"].removeprefix("http://")
    netrc.write_text(f"machine {host} login user password {'0' * 40}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert isinstance(option("online").build(None), tracker.Wandb)


def test_a_row_that_the_server_has_is_not_sent_again() -> None:
    sent: list[int] = []
    opened = types.SimpleNamespace(log=lambda row, step: sent.append(step))
    mirror = tracker.WandbRun(opened, None, first=2)
    for update in range(4):
        mirror.log({"update": update})
    assert sent == [2, 3]


def test_the_id_is_kept_over_a_resume_and_no_two_runs_share_one() -> None:
    assert tracker.run_id(RUN) == tracker.run_id({**RUN, "status": "running", "last_update": 40})
    others = [{**RUN, "seed": 2}, {**RUN, "arm": "ppo"}, {**RUN, "experiment": "x"}, {**RUN, "started": "later"}]
    assert len({tracker.run_id(run) for run in [RUN, *others]}) == 5


@pytest.mark.parametrize(
    ("project", "said"),
    [
        ("team/rlhf", "use tracker.entity=team tracker.project=rlhf"),
        ("a:b", "must hold none of the characters"),
        ("a" * 129, "at most 128 characters"),
    ],
)
def test_a_project_that_wandb_would_refuse_is_refused_before_the_run(project: str, said: str) -> None:
    options = {"mode": "offline", "project": project, "entity": None, "connect_timeout": 1.0, "tags": [], "notes": None}
    (line,) = faults("tracker", {"name": "wandb", **options})
    assert line.startswith("tracker.project ")
    assert said in line
