"""``hubtl adapt --resume`` where there is nothing to go on with."""

from tests.tiny import hubtl_command


def test_a_folder_without_a_run_is_said_to_have_none(tmp_path, capsys):
    code, _, err = hubtl_command(["adapt", "--resume", "--output-dir", str(tmp_path / "none")], capsys)
    assert code == 2
    assert "there is no run to resume" in err
    assert "no target" not in err
