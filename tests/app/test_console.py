from safelab.app.console import progress


def test_without_a_terminal_every_text_is_a_line_on_standard_error(capsys) -> None:
    with progress() as say:
        say("step 1 of 3 [not markup]")
        say("done")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "step 1 of 3 [not markup]\ndone\n"
