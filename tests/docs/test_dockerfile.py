"""The Dockerfile keeps to what a linter asks for: nothing here builds it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def instructions(text: str) -> list[tuple[str, str]]:
    """Keyword and rest of each instruction; comments are left out, continued lines are one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


FOUND = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))


def last(keyword: str) -> str:
    """What the last such instruction says."""
    return [rest for word, rest in FOUND if word == keyword][-1]


def test_its_base_is_one_version_that_the_project_runs_on() -> None:
    (base,) = [rest for word, rest in FOUND if word == "FROM"]
    version = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-\w+", base)
    assert version
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11"
    assert (int(version[1]), int(version[2])) >= (3, 11)


def test_it_runs_safelab_as_no_root_and_keeps_its_caches() -> None:
    assert last("USER") not in ("root", "0")
    assert FOUND.index(("USER", last("USER"))) > max(i for i, (word, _) in enumerate(FOUND) if word == "RUN")
    assert last("ENTRYPOINT") == '["safelab"]'
    (volume,) = re.findall(r'"(.+?)"', last("VOLUME"))
    caches = re.findall(r"(?:HF_HOME|SAFELAB_CACHE)=(\S+)", " ".join(rest for word, rest in FOUND if word == "ENV"))
    assert len(caches) == 2
    assert all(cache.startswith(f"{volume}/") for cache in caches)


def test_it_installs_what_is_locked_and_fetches_nothing_else() -> None:
    runs = " ".join(rest for word, rest in FOUND if word == "RUN")
    assert "--requirement /opt/safelab/requirements.lock" in runs
    assert not re.search(r"curl|wget|apt|sudo|ADD ", runs)


def test_what_it_copies_is_there_and_reaches_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [name for word, rest in FOUND if word == "COPY" for name in rest.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in ignore] == []
