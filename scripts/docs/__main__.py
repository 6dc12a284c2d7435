"""Makes ``build/docs``, the Markdown that the site is built from.

    python -m scripts.docs

``make docs`` calls this, then Zensical, which reads ``zensical.toml``. The pages are those of ``docs/``; the keys of
the configuration, the commands and the examples are made here.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from scripts.docs import api, commands, examples, keys, nav
from scripts.docs.pages import Pages

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the folder anew; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "docs", help="the folder that is made anew")
    target = parser.parse_args(arguments).output
    shutil.rmtree(target, ignore_errors=True)
    Pages(ROOT, target).write()
    keys.write(ROOT / "conf", target / "reference" / "keys")
    api.write(ROOT / "src", target / "reference" / "api")
    commands.write(target / "reference" / "commands.md")
    examples.write(ROOT / "outputs", target / "examples")
    faults = nav.faults(ROOT / "zensical.toml", target)
    for fault in faults:
        print(f"error: {fault}")
    print(f"{sum(1 for _ in target.rglob('*.md'))} pages: {target}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
