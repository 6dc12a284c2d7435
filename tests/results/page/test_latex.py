"""``table.tex``: its shape without LaTeX, its width by the font's own metrics; compiled where pdfLaTeX is there."""

import re
import shutil
import subprocess
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.ft2font import FT2Font

from safelab.errors import DataError
from safelab.results.model import Report
from safelab.results.page.document import Choices, build_report
from safelab.results.page.latex import SIZE, TEXT_WIDTH, escaped, latex, width
from safelab.results.page.tables import markdown
from safelab.results.runs.load import load

from ..conftest import MakeRun

ODD = r"50% of $x_1 & #2 {~^\} <a|b>--c"
LONG = "safe," + ",".join(f"key{number}=value" for number in range(9))


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Four arms, two with names that LaTeX or a page cannot take as they are, with everything that a table may show."""
    for arm in ("ppo", ODD, LONG, LONG.replace("key8", "key9")):
        for seed in (0, 1, 2):
            level = 0.5 + 0.1 * seed
            columns = {
                name: [level, level]
                for name in ("reward/gold_mean", "kl/ref_token_exact", "policy/entropy_token", "response/eos_rate")
            }
            flags = {"crash/reward": [0, seed % 2], "crash/hacking": [0, 0], "crash/kl_spike": [1, 0]}
            status = "failed" if (arm, seed) == (ODD, 2) else "diverged" if (arm, seed) == ("ppo", 2) else "finished"
            make_run(
                arm,
                seed,
                [level, level],
                columns | flags,
                status=status,
                directory=tmp_path / f"{len(arm)}{arm[-9:].encode().hex()}/{seed}",
            )
    return tmp_path


def reported(runs: Path, *columns: str) -> Report:
    return build_report(load([runs]), Choices(baseline="ppo", columns=columns))


def tabulars(table: str) -> list[list[list[str]]]:
    """The rows of each tabular as cells."""
    bodies = re.findall(r"\\begin\{tabular\}\{@\{\}(l?r*)@\{\}\}\n(.*?)\\end\{tabular\}", table, re.S)
    found = []
    for form, body in bodies:
        rows = [line.removesuffix(r" \\") for line in body.splitlines() if line.endswith(r" \\")]
        cells = [re.split(r"(?<!\\) & |(?<!\\) &  ?", row) for row in rows]
        assert {len(row) for row in cells} == {len(form)}, "every row has a cell for every column"
        found.append(cells)
    return found


def test_seven_columns_at_most_and_every_row_has_them_all(runs: Path) -> None:
    ((head, *_),) = tabulars(latex(reported(runs)))
    assert len(head) <= 7


def test_it_says_how_many_finished_and_what_a_crash_is(runs: Path) -> None:
    table = latex(reported(runs))
    (rows,) = tabulars(table)
    column = next(place for place, cell in enumerate(rows[-9]) if "started" in cell)
    finished = [row[column] for row in rows if re.fullmatch(r"\d of \d", row[column])]
    assert sorted(finished) == ["2 of 3", "2 of 3", "3 of 3", "3 of 3"]
    assert r"\caption{Runs that finished, of those that were started." in table
    assert "Reward crash: The mean reward over" in table
    assert "Diverged: a number was not finite, or a guard ended the run." in table


def test_columns_are_those_that_were_asked_for(runs: Path) -> None:
    report = reported(runs, "kl_max", "crash/hacking", "finished")
    (rows,) = tabulars(latex(report))
    assert len(rows[0]) == 4
    heads = [" ".join(filter(None, column)) for column in zip(*rows[: len(rows) - 8], strict=True)]
    assert heads == ["Arm", r"Greatest KL nats/token", "Reward hacking runs", "Finished of started"]
    assert "| Arm | Greatest KL (nats/token) | Reward hacking (runs) | Finished (of started) |" in markdown(report)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(runs: Path) -> None:
    with pytest.raises(DataError, match=r"--columns .* got 'kl_maks'; did you mean 'kl_max'\? known: crash/hacking, "):
        reported(runs, "kl_maks")


def font_width(line: str) -> float:
    """Ems of a line in Computer Modern, by the font that Matplotlib brings along."""
    font = FT2Font(str(Path(mpl.get_data_path()) / "fonts/ttf/cmr10.ttf"))
    font.set_size(1000, 72)
    font.set_text(line, 0.0)
    return font.get_width_height()[0] / 64 / 1000


@pytest.mark.parametrize("line", ["[0.715, 0.790]", "ppo_released", "Training-average", "Diverged", "safe,gate=none"])
def test_a_line_is_not_wider_than_it_is_taken_to_be(line: str) -> None:
    assert font_width(line) <= width(line, 1.0) <= 1.25 * font_width(line)


MANY = [
    *(
        "finished",
        "diverged",
        "reward_mean",
        "reward_final",
        "gold_final",
        "reward_sd",
        "kl_mean",
        "kl_max",
        "kl_final",
    ),
    *("entropy_final", "eos_final", "crash/reward", "crash/hacking", "crash/kl_spike"),
]


@pytest.mark.parametrize("columns", [[], MANY])
def test_it_fits_the_page_whatever_is_asked_for(runs: Path, columns: list[str]) -> None:
    for rows in tabulars(latex(reported(runs, *columns))):
        plain = [[re.sub(r"\\scriptsize |\\allowbreak|[{}$\\]", "", cell) for cell in row] for row in rows]
        taken = sum(
            max(width(cell, SIZE if "[" not in cell else 8.0) for cell in column) for column in zip(*plain, strict=True)
        )
        assert taken + 6 * (len(plain[0]) - 1) <= TEXT_WIDTH + 1


def test_names_are_escaped_and_comments_stay_comments() -> None:
    assert escaped("50% & $x_1 #2 {}") == r"50\% \& \$x\_1 \#2 \{\}"
    assert escaped("a\\b~^") == r"a\textbackslash{}b\textasciitilde{}\textasciicircum{}"
    assert escaped("−0.5 – 中") == "$-$0.5 -- [U+4E2D]"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdfLaTeX is not here")
@pytest.mark.parametrize("columns", [[], MANY])
def test_it_compiles_and_no_box_is_too_wide(runs: Path, tmp_path: Path, columns: list[str]) -> None:
    table = latex(reported(runs, *columns))
    document = ["\\documentclass{article}", "\\usepackage{booktabs}", "\\begin{document}", table, "\\end{document}"]
    (tmp_path / "t.tex").write_text("\n".join(document), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\hbox" not in done.stdout
