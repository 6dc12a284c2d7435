"""Rewrite tests/configs/: every algorithm preset, resolved and flat, so that a change of a default shows in a diff.

Usage: .venv/bin/python scripts/update_flat_configs.py
"""

from pathlib import Path

from safelab.app.config.flat import algorithm_presets

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "configs"


def main() -> None:
    """One file per preset; files of presets that are gone are removed."""
    FOLDER.mkdir(exist_ok=True)
    presets = algorithm_presets()
    for stale in {path.stem for path in FOLDER.glob("*.yaml")} - presets.keys():
        (FOLDER / f"{stale}.yaml").unlink()
    for name, text in presets.items():
        (FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")
    print(f"{len(presets)} presets in {FOLDER}")


if __name__ == "__main__":
    main()
