"""``hubtl evaluate --record``: an evaluation joins a finished run's record and card, here and on the Hub."""

import json
import shutil
import subprocess
import sys

import pytest

import hubtl
from hubtl.card import document
from hubtl.record import RunRecord
from hubtl.run.workplace import at_work
from tests.hub.loopback import TOKEN, env_for, start
from tests.tiny import hubtl_command

pytestmark = pytest.mark.slow

DIGITS, OTHER = "builtin:digits/uci", "builtin:digits/mnist"
HEADING = "### Other data and test time"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose model has BatchNorm. Test-time methods have something to adapt."""
    folder = tmp_path_factory.mktemp("amend") / "run"
    common = {"model": "test_resnet", "pretrained": False, "source_dataset": OTHER, "target_dataset": DIGITS}
    more = {"strategy": "source-only", "lr": 0.05, "steps": 30, "options": {"run.plots": False}}
    hubtl.adapt(output_dir=str(folder), image_size=32, **common, **more)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_an_evaluation_joins_the_record_and_the_card(run, capsys):
    readme = run / "README.md"
    readme.write_text(readme.read_text() + "\nA line by hand.\n")
    weights = (run / "model.safetensors").read_bytes()
    code, out, _ = hubtl_command(["evaluate", str(run), "--dataset", OTHER, "--record"], capsys)
    assert code == 0
    assert str(readme) in out
    (later,) = RunRecord.load(run).evaluations
    assert (later.data.dataset, later.online, later.figures.n) == (OTHER, None, later.data.eval_rows)
    assert f"| {100 * later.figures.accuracy:.1f}% |" in readme.read_text().split(HEADING)[1]
    assert readme.read_text().endswith("A line by hand.\n")
    assert (run / "model.safetensors").read_bytes() == weights
    results = document.parse(readme.read_text()).metadata["model-index"][0]["results"]
    assert [result["dataset"]["name"] for result in results] == ["digits/uci", "digits/mnist"]
    assert results[1]["metrics"][0]["value"] == round(later.figures.accuracy, 4)


def test_at_test_time_the_frozen_model_stands_beside(run, capsys):
    command = ["evaluate", str(run), "--dataset", DIGITS, "--record", "--json", "--tta", "bn", "--batch-size", "200"]
    code, out, _ = hubtl_command(command, capsys)
    assert code == 0
    assert json.loads(out)["recorded"] == str(run / "README.md")
    record = RunRecord.load(run)
    (later,) = record.evaluations
    assert later.figures.accuracy == record.adapted.accuracy, "the run measured the same model on the same rows"
    assert (later.online.method, later.online.seed, later.online.batch_size) == ("bn", 0, 200)
    card = (run / "README.md").read_text()
    assert "With `bn`, which keeps learning from the rows that it predicts" in card
    assert [line.split(" | ")[1] for line in card.split(HEADING)[1].splitlines()[4:6]] == ["as it is", "`bn`, online"]
    (result,) = document.parse(card).metadata["model-index"][0]["results"]
    names = [metric["name"] for metric in result["metrics"] if metric["type"] == "accuracy"]
    assert names == ["Accuracy", "Accuracy (bn online)"]


def test_the_same_rows_in_the_same_way_are_kept_once(run, capsys):
    for words in ([], [], ["--tta", "bn"], ["--tta", "bn"], ["--split", "train[:50]"]):
        assert hubtl_command(["evaluate", str(run), "--dataset", OTHER, "--record", *words], capsys)[0] == 0
    kept = [(e.data.eval_split, e.online and e.online.method) for e in RunRecord.load(run).evaluations]
    assert kept == [("test", None), ("test", "bn"), ("train[:50]", None)]


def test_without_the_flag_nothing_is_written(run, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert hubtl_command(["evaluate", str(run), "--dataset", OTHER], capsys)[0] == 0
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (lambda run: (run / "record.json").unlink(), [], "has no record.json"),
        (lambda run: _status(run, "interrupted"), [], "is not finished (interrupted)"),
        (lambda run: None, ["--create-pr"], "there is nothing to request"),
    ],
)
def test_what_cannot_be_recorded_is_said_before_anything_is_measured(run, capsys, spoil, words, said):
    spoil(run)
    code, out, err = hubtl_command(
        ["evaluate", str(run), "--dataset", "builtin:nothing/here", "--record", *words], capsys
    )
    assert (code, out) == (2, "")
    assert said in err


def test_figures_that_cannot_be_recorded_are_said_all_the_same(run, capsys):
    command = ["evaluate", str(run), "--dataset", OTHER, "--record"]
    with at_work(run):
        code, out, err = hubtl_command([*command, "--json"], capsys)
        assert code == 2
        found = json.loads(out)
        assert found["recorded"] is None
        assert found["accuracy"] is not None
        assert "another process is at work" in err
        code, out, err = hubtl_command(command, capsys)
    assert (code, "balanced accuracy" in out) == (2, True)
    assert not RunRecord.load(run).evaluations


def test_a_folder_that_cannot_be_written_to_is_said_before_anything_is_measured(run, capsys, monkeypatch):
    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hubtl.io.places.tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("hubtl.studies.evaluate.later", lambda *a, **k: pytest.fail("it measured"))
    code, _, err = hubtl_command(["evaluate", str(run), "--dataset", OTHER, "--record"], capsys)
    assert code == 2
    assert err.startswith(f"error: cannot write to {run}: Permission denied")


def test_a_pull_request_needs_a_record(run, capsys):
    code, _, err = hubtl_command(["evaluate", str(run), "--dataset", OTHER, "--create-pr"], capsys)
    assert code == 2
    assert "--record --create-pr" in err


def _status(run, status):
    record = RunRecord.load(run)
    record.status = status
    record.save(run)


@pytest.fixture(scope="module")
def hub():
    hub = start()
    yield hub
    hub.stop()


@pytest.fixture
def evaluate(hub, finished, tmp_path):
    """The command in its own process, on a repository with the run."""
    hub.reset()
    environment = env_for(hub, tmp_path / "home")
    script = f"from hubtl.hub import push; push({str(finished)!r}, 'user/digits')"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]  # the command itself keeps them from who does not watch

    def evaluate(*words, model="user/digits", without=()):
        command = [sys.executable, "-m", "hubtl", "evaluate", model, "--dataset", OTHER, "--record", *words]
        own = {key: value for key, value in environment.items() if key not in without}
        return subprocess.run(command, env=own, capture_output=True, text=True, check=False)

    return evaluate


def test_one_commit_adds_it_and_sends_nothing_else(hub, evaluate):
    before = hub.files("user/digits")
    hub.log.clear()
    done = evaluate()
    assert done.returncode == 0, done.stderr
    assert "it/s" not in done.stderr
    after = hub.files("user/digits")
    assert {name for name in after if before.get(name) != after[name]} == {"record.json", "README.md"}
    assert hub.repos["user/digits"].messages[-1] == f"Evaluation on {OTHER}"
    assert f"{hub.url}/user/digits/commit/" in done.stdout
    assert HEADING in after["README.md"].decode()
    assert sum("/commit/" in path for method, path in hub.log if method == "POST") == 1
    assert not [path for method, path in hub.log if method == "PUT"]
    assert TOKEN not in done.stdout + done.stderr + after["README.md"].decode() + after["record.json"].decode()
    assert evaluate("--tta", "bn").returncode == 0, "the second builds on the first"
    assert len(json.loads(hub.files("user/digits")["record.json"])["evaluations"]) == 2


def test_to_a_repository_of_others_it_is_proposed(hub, evaluate):
    before = hub.files("user/digits")
    done = evaluate("--create-pr")
    assert done.returncode == 0, done.stderr
    assert f"{hub.url}/user/digits/discussions/1" in done.stdout
    assert hub.files("user/digits") == before
    assert HEADING.encode() in hub.files("user/digits", "refs/pr/1")["README.md"]


def test_a_commit_cannot_change(hub, evaluate):
    commit = hub.repos["user/digits"].refs["main"]
    done = evaluate(model=f"user/digits@{commit}")
    assert done.returncode == 2
    assert "is a commit: nothing can be added to it" in done.stderr


def test_a_refusal_loses_nothing_and_says_what_to_type(hub, evaluate):
    before = hub.files("user/digits")
    hub.faults["commit"] = "403"
    done = evaluate()
    assert done.returncode == 2
    assert "could not be added to user/digits" in done.stderr
    assert f"hubtl evaluate user/digits --dataset {OTHER} --record" in done.stderr
    assert hub.files("user/digits") == before


def test_a_repository_that_has_moved_on_is_left_as_it_is(hub, evaluate, tmp_path):
    before = hub.repos["user/digits"].refs["main"]
    now = hub.add("user/digits", {"README.md": b"By another."})
    script = f"""
from hubtl.errors import HubtlError
from hubtl.hub import amend
try:
    amend("user/digits", {{"README.md": b"Ours."}}, parent={before!r}, message="late", retry="hubtl evaluate again")
except HubtlError as error:
    print(error, error.hint)
"""
    environment = env_for(hub, tmp_path / "other")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "user/digits has changed while its model was evaluated hubtl evaluate again" in done.stdout
    assert hub.repos["user/digits"].refs["main"] == now


def test_without_a_token_nothing_is_measured(evaluate):
    done = evaluate(without=("HF_TOKEN",))
    assert (done.returncode, done.stdout) == (2, "")
    assert "hf auth login (or set HF_TOKEN), or leave --record out" in done.stderr


def test_a_card_is_not_written_while_another_process_is_at_work(run, capsys):
    before = (run / "README.md").read_bytes()
    with at_work(run):
        for words in (["card", str(run)], ["evaluate", str(run), "--dataset", OTHER, "--record"]):
            code, _, err = hubtl_command(words, capsys)
            assert code == 2
            assert "another process is at work" in err
        assert hubtl_command(["card", str(run), "--check"], capsys)[0] == 0
    assert (run / "README.md").read_bytes() == before
