"""Do two versions of the code make the same rows? Every algorithm preset is trained for a few updates, and compared.

    .venv/bin/python -m scripts.tools.preset_rows make before --safelab ../old/.venv/bin/safelab
    .venv/bin/python -m scripts.tools.preset_rows make after
    .venv/bin/python -m scripts.tools.preset_rows compare before after

Same seed, same machine, a CPU: then a change that is meant to move no number leaves every row as it was, to the last
bit. What a clock or a memory meter tells (``time/``, ``speed/``, ``memory/``) is not compared.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safelab.runlog.schema import RENAMED

MEASURED = ("time/", "speed/", "memory/")
"""Beginnings of the metrics that no two runs share."""

CONF = Path(__file__).resolve().parents[2] / "conf"


def main() -> int:
    """Make rows or compare them; 0 if all is well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make", help="train every preset into a folder")
    making.add_argument("folder", type=Path)
    making.add_argument("--safelab", default="safelab", help="the command of the version that is to train")
    making.add_argument("--updates", type=int, default=6)
    making.add_argument("--presets", nargs="*", help="only these (all)")
    making.add_argument("--overrides", nargs="*", default=[], help="for every run, as world=tiny")
    comparing = verbs.add_parser("compare", help="compare two such folders")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    flags = parser.parse_args()
    if flags.verb == "make":
        return make(flags.folder, flags.safelab, flags.updates, flags.presets or presets(), flags.overrides)
    return compare(flags.before, flags.after)


def presets() -> list[str]:
    """The names in ``conf/algorithm``."""
    return sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))


def make(folder: Path, safelab: str, updates: int, names: list[str], overrides: list[str]) -> int:
    """Train each preset for ``updates`` updates below ``folder``."""
    chosen = [f"algorithm={','.join(names)}", f"output_dir={folder.absolute()}", "experiment=rows"]
    sizes = [f"updates={updates}", "samples.every=0", "checkpoint.every=0", "seed=0", "device=cpu"]
    return subprocess.run([safelab, "train", "-m", *chosen, *sizes, *overrides], check=False).returncode


def compare(before: Path, after: Path) -> int:
    """Print every difference; 0 if there is none and something was compared."""
    names = sorted(
        {path.parts[-3] for folder in (before, after) for path in folder.glob("rows/*/seed_0/metrics.jsonl")}
    )
    odd = [line for name in names for line in differences(name, before, after)]
    print("\n".join(odd) or f"{len(names)} presets have the same rows")
    return 1 if odd or not names else 0


def differences(name: str, before: Path, after: Path) -> Iterator[str]:
    """What differs between the rows of one preset, a line each."""
    old, new = rows(before, name), rows(after, name)
    if not old or len(old) != len(new):
        yield f"{name}: {len(old)} rows before, {len(new)} after"
        return
    for then, now in zip(old, new, strict=True):
        for metric in {**then, **now}:
            # repr, so that NaN equals itself and 1 differs from 1.0.
            if repr(then.get(metric, "none")) != repr(now.get(metric, "none")):
                yield f"{name} update {now['update']}: {metric} {then.get(metric)!r} before, {now.get(metric)!r} after"


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """A run's rows without what is measured by a clock, all names as they are today; none where there is no run."""
    file = folder / "rows" / name / "seed_0" / "metrics.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [
        {RENAMED.get(key, key): value for key, value in json.loads(line).items() if not key.startswith(MEASURED)}
        for line in lines
    ]


if __name__ == "__main__":
    sys.exit(main())
