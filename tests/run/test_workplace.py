"""Run directories: one run at a time, nothing lost, and nothing removed that no run wrote."""

import json

import pytest

from hubtl.errors import HubtlError
from hubtl.run import workplace
from hubtl.run.workplace import Workplace, at_work
from tests.records import unfinished as record


def finished(folder, status="finished"):
    """A run directory as a finished run leaves it."""
    place = Workplace(folder)
    assert place.enter() is None
    made = record()
    made.status = "running"
    place.begin("model: lenet\n", made)
    own = folder / workplace.STATE / "mcc"
    own.mkdir()
    (own / "checkpoint.pt").write_bytes(b"state")
    if status == "finished":
        with place.delivery() as stage:
            (stage / "model.safetensors").write_bytes(b"weights")
            (stage / "plots").mkdir()
            (stage / "plots" / "curves.png").write_bytes(b"plot")
        made.status = "finished"
        made.save(folder)
    place.leave()
    return made


def begun_anew(folder):
    place = Workplace(folder, overwrite=True)
    assert place.enter() is None
    made = record()
    made.status = "running"
    place.begin("model: lenet\n", made)
    return place


def test_a_second_process_is_refused_and_one_that_is_gone_holds_nothing(tmp_path):
    folder = tmp_path / "run"
    finished(folder, "interrupted")
    with at_work(folder), pytest.raises(HubtlError, match="another process is at work"):
        Workplace(folder, resume=True).look()
    assert Workplace(folder, resume=True).look() is None


def test_a_process_that_is_refused_leaves_what_is_anothers(tmp_path):
    """Both looked at the empty folder, and one held it first."""
    folder = tmp_path / "run"
    second = Workplace(folder)
    second.look()
    with at_work(folder):
        for name, text in (("recipe.yaml", "model: lenet\n"), ("record.json", "{}")):
            (folder / name).write_text(text)
        with pytest.raises(HubtlError, match="another process is at work"):
            second.enter()
        second.leave()
        left = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert left == {"recipe.yaml", "record.json", "training", "training/run.lock"}


@pytest.mark.parametrize("damage", ["", "{", None])
def test_a_model_whose_record_is_lost_is_not_written_over(tmp_path, damage):
    folder = tmp_path / "run"
    finished(folder)
    (folder / "training" / "mcc" / "checkpoint.pt").unlink()  # to save room
    record_file = folder / "record.json"
    record_file.unlink() if damage is None else record_file.write_text(damage)
    with pytest.raises(HubtlError, match=r"record\.json is missing or damaged") as caught:
        Workplace(folder).look()
    assert "--overwrite" in str(caught.value.hint)
    if damage is not None:
        again = Workplace(folder, resume=True)
        assert again.enter() is None
        again.leave()  # as its caller cannot read the record
        assert record_file.read_text() == damage
        assert (folder / "recipe.yaml").exists()
    begun_anew(folder).leave()
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied"), NotImplementedError("no flock")])
def test_a_folder_that_cannot_be_held_is_one_error(tmp_path, monkeypatch, fault):
    def acquire(self):
        raise fault

    monkeypatch.setattr("filelock.FileLock._acquire", acquire)
    with pytest.raises(HubtlError, match="cannot hold"), at_work(tmp_path):
        pass


def test_overwriting_removes_what_the_run_wrote_and_nothing_else(tmp_path):
    folder = tmp_path / "run"
    finished(folder)
    for name in ("notes.txt", "plots/mine.png", "training/mcc/copy.pt"):
        (folder / name).write_text("mine")
    with pytest.raises(HubtlError, match="its run is finished") as caught:
        Workplace(folder).look()
    assert "--overwrite" in str(caught.value.hint)
    begun_anew(folder)
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    mine = {"notes.txt", "plots/mine.png", "training/mcc/copy.pt"}
    assert left == {*mine, "recipe.yaml", "record.json", "training/run.lock"}


def test_a_file_that_was_changed_since_is_not_removed(tmp_path):
    folder = tmp_path / "run"
    finished(folder)
    (folder / "model.safetensors").write_bytes(b"others")
    with pytest.raises(HubtlError, match=r"were changed since the run wrote them: model\.safetensors"):
        Workplace(folder, overwrite=True).look()
    (folder / workplace.WRITTEN).write_text(json.dumps({"../outside": "0" * 64}))
    with pytest.raises(HubtlError, match="lists the files"):
        Workplace(folder, overwrite=True).look()


@pytest.mark.parametrize("flags", [{}, {"resume": True}, {"overwrite": True}])
def test_a_folder_that_is_no_run_is_left_alone(tmp_path, flags):
    (tmp_path / "recipe.yaml").write_text("mine")
    with pytest.raises(HubtlError, match=r"not empty|no run to resume"):
        Workplace(tmp_path, **flags).look()
    assert (tmp_path / "recipe.yaml").read_text() == "mine"


def test_a_run_that_came_to_no_checkpoint_leaves_nothing(tmp_path):
    place = Workplace(tmp_path / "runs" / "one")
    place.enter()
    place.begin("model: lenet\n", record())
    place.leave()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("place", ["a file/run", "a file", "x" * 300, "a\0b"])
def test_a_place_that_cannot_be_written_to_is_found_before_anything_is_loaded(tmp_path, place):
    (tmp_path / "a file").write_text("")
    with pytest.raises(HubtlError, match="cannot") as caught:
        Workplace(tmp_path / place).look()
    assert caught.value.hint
