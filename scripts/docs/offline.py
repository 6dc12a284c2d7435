"""Whether the built site reads without a network: no page may fetch a script, a style, a font or an image.

python -m scripts.docs.offline site
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

IN_PAGE = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*?\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*?\bhref=["']?(?:https?:)?//"""
)
IN_STYLE = re.compile(r"url\(['\"]?(https?:)?//|@import\s+['\"](https?:)?//")


def fetching(site: Path) -> list[str]:
    """The files of a site that would fetch something, each with what."""
    found = []
    for pattern, ending in ((IN_PAGE, "html"), (IN_STYLE, "css")):
        for path in sorted(site.rglob(f"*.{ending}")):
            for match in pattern.finditer(path.read_text(encoding="utf-8")):
                found.append(f"{path.relative_to(site)}: {match[0]}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what would be fetched; returns 1 if anything would."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    found = fetching(Path(folder))
    for line in found:
        print(f"error: it would be fetched from elsewhere: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
