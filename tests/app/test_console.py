import io
import sys

import pytest

from safelab.app.console import one_line, progress, speak_anywhere


def test_a_terminal_that_is_ascii_is_written_to_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console
    from rich.table import Table

    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    with pytest.raises(UnicodeEncodeError):
        print("ü")
    speak_anywhere()
    table = Table("arm \udcff")
    table.add_row("ü 日本")
    Console().print(table)
    print("ü", "é", sep="\n", file=sys.stderr)
    shown = written.getvalue().decode("ascii")
    assert "\\xfc \\u65e5\\u672c" in shown
    assert "\\udcff" in shown
    assert shown.endswith("\\xfc\n\\xe9\n")


def test_without_a_terminal_every_text_is_a_line_on_standard_error(capsys) -> None:
    with progress() as say:
        say("step 1 of 3 [not markup]")
        say("done")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "step 1 of 3 [not markup]\ndone\n"


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "a↵↵b\N{REPLACEMENT CHARACTER}"), ("ascii", r"a\n\nb")])
def test_a_line_break_is_seen_on_any_terminal(monkeypatch, encoding: str, shown: str) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert one_line("a\r\n\nb\x1b").startswith(shown)
