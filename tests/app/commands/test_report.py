from safelab.app.cli import main


def test_no_columns_is_no_choice(capsys) -> None:
    assert main(["report", "anywhere", "--columns", ""]) == 2
    assert "--columns: must name at least one column" in capsys.readouterr().err
