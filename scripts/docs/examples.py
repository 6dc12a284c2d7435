"""The page of examples: the reports that lie in ``outputs/``, copied as they are."""

import shutil
from pathlib import Path

INTRODUCTION = """# Reports to look at

A report is one HTML file that needs nothing else. Those listed below were copied from `outputs/` when this site was
built; they are whole, so that every curve can be hovered over and every table sorted.
"""
NONE = """No run lay in `outputs/` when this site was built, so there is none here. This makes the demo's, in minutes
on a laptop, and builds the site with it:

```console
make demo docs
```

Any study does: `safelab train -m +sweep=ablate_controller`, then `safelab report outputs/ablate_controller`, then
`make docs`.
"""


def write(outputs: Path, folder: Path) -> None:
    """The page, and beside it each report that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for report in sorted(outputs.glob("*/report/index.html")):
        experiment = report.parents[1].name
        shutil.copyfile(report, folder / f"{experiment}.html")
        lines.append(f"- [{experiment}]({experiment}.html), made by `safelab report outputs/{experiment}`")
    text = "\n".join(lines) + "\n" if lines else NONE
    (folder / "index.md").write_text(f"{INTRODUCTION}\n{text}", encoding="utf-8")
