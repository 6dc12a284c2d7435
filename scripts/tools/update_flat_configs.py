"""Rewrite tests/configs/: every algorithm preset, resolved and flat, so that a change of a default shows in a diff.

Usage: .venv/bin/python -m scripts.tools.update_flat_configs
"""

from pathlib import Path

from safelab.app.config.flat import algorithm_presets

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "configs"


def main() -> None:
    """One file per preset, written where its text changed; files of presets that are gone are removed."""
    FOLDER.mkdir(exist_ok=True)
    presets = algorithm_presets()
    for stale in {path.stem for path in FOLDER.glob("*.yaml")} - presets.keys():
        (FOLDER / f"{stale}.yaml").unlink()
    for name, text in presets.items():
        file = FOLDER / f"{name}.yaml"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    print(f"{len(presets)} presets in {FOLDER}")


if __name__ == "__main__":
    main()
