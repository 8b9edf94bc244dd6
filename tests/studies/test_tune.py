"""``hubtl tune``: it finds, reads no target label, goes on after a kill, and says what it refuses."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hubtl
from hubtl.errors import HubtlError
from hubtl.recipe.reading import parse, read
from hubtl.studies import tune as tuning

pytestmark = pytest.mark.slow

RECIPE = {
    "model": {"name": "lenet", "pretrained": False},
    "source": "builtin:digits/mnist",
    "target": "builtin:digits/uci",
    "strategy": "mcc",
    "optim": {"lr": 1e-5},
    "run": {"steps": 25, "batch_size": 16, "validator": "last", "device": "cpu", "plots": False},
}
LR = ["optim.lr=1e-5:1e-1:log"]


def test_it_finds_a_better_rate_than_a_bad_one_and_writes_a_recipe_that_runs(tmp_path):
    raw = {**RECIPE, "run": {**RECIPE["run"], "steps": 80}}
    found = hubtl.tune(raw, trials=4, search=LR, output_dir=tmp_path / "tune")
    first = next(trial for trial in found.trials if trial["order"] == 0)
    assert first["parameters"] == {"optim.lr": 1e-5}, "the recipe as it is was not tried"
    assert found.best["parameters"]["optim.lr"] > 1e-3
    assert found.best["score"] > (first["score"] or 0) + 0.1
    assert found.best["guard"]["source-accuracy"] > first["guard"]["source-accuracy"] + 0.2
    told = json.loads((tmp_path / "tune" / "tune.json").read_text())
    assert told["trials"] == found.trials
    assert (told["objective"], told["oracle"], told["best"]) == ("infomax", False, found.best["number"])
    best = parse(read(tmp_path / "tune" / "recipe.yaml"))
    assert best.optim.lr == found.best["parameters"]["optim.lr"]
    result = hubtl.adapt(
        str(tmp_path / "tune" / "recipe.yaml"), baseline=False, output_dir=str(tmp_path / "run"), steps=2
    )
    assert result.record.training.steps == 2


class Sealed:
    """The streams of a run without anything that reveals target labels."""

    def __init__(self, streams):
        self.__dict__.update({k: v for k, v in vars(streams).items() if k != "target_eval_labels"})
        self.asked = []

    def __getattr__(self, name):
        raise AssertionError(f"{name} was read")


def test_a_search_reads_no_label_of_the_target(tmp_path, monkeypatch):
    def blind(recipe):
        prepared = prepare(recipe)
        prepared.streams = Sealed(prepared.streams)
        prepared.streams.target_eval = None
        return prepared

    prepare = tuning.prepare
    monkeypatch.setattr(tuning, "prepare", blind)
    raw = {**RECIPE, "run": {**RECIPE["run"], "steps": 2}}
    assert len(hubtl.tune(raw, trials=1, output_dir=tmp_path / "a").trials) == 1
    with pytest.raises(AssertionError, match="target_eval_labels was read"):
        hubtl.tune(raw, trials=1, validator="target-accuracy", oracle=True, output_dir=tmp_path / "b")


def test_a_target_without_labels_is_enough(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(24):
        Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(tmp_path / "images" / f"{i}.png")
    raw = {**RECIPE, "target": str(tmp_path / "images"), "run": {**RECIPE["run"], "steps": 2}}
    found = hubtl.tune(raw, trials=1, search=LR, output_dir=tmp_path / "tune")
    assert found.trials[0]["score"] is not None


def test_where_labels_are_learnt_from_the_score_is_of_held_out_rows(tmp_path):
    raw = {**{k: v for k, v in RECIPE.items() if k not in ("source", "strategy")}, "strategy": "finetune"}
    raw["run"] = {**raw["run"], "steps": 15}
    found = hubtl.tune(raw, trials=2, search=["optim.lr=1e-5:5e-2:log"], output_dir=tmp_path / "tune")
    assert found.objective == "held-out"
    by_rate = sorted(found.trials, key=lambda trial: trial["parameters"]["optim.lr"])
    assert by_rate[0]["score"] == pytest.approx(-math.log(10), abs=0.1), "an untrained model guesses"
    assert parse(read(tmp_path / "tune" / "recipe.yaml")).data.hold_out is None


def test_an_oracle_is_refused_unless_it_is_asked_for_and_then_named(tmp_path):
    with pytest.raises(HubtlError, match="target-accuracy reads target labels") as caught:
        hubtl.tune(RECIPE, trials=1, validator="target-accuracy", output_dir=tmp_path / "a")
    assert "--oracle" in caught.value.hint
    selecting = {**RECIPE, "run": {**RECIPE["run"], "validator": "target-accuracy", "steps": 2}}
    with pytest.raises(HubtlError, match="target-accuracy reads target labels"):
        hubtl.tune(selecting, trials=1, output_dir=tmp_path / "b")
    assert not (tmp_path / "a").exists()
    found = hubtl.tune(selecting, trials=1, validator="target-accuracy", oracle=True, output_dir=tmp_path / "c")
    assert found.oracle
    assert json.loads((tmp_path / "c" / "tune.json").read_text())["oracle"] is True


@pytest.mark.parametrize("name", ["last", "ensemble", "infomaks"])
def test_a_rule_that_cannot_compare_runs_is_refused(tmp_path, name):
    with pytest.raises(HubtlError, match="gives no score that runs can be compared by"):
        hubtl.tune(RECIPE, validator=name, output_dir=tmp_path / "tune")


FAKE = """
import math, os, signal, sys
from hubtl.studies import tune as tuning

calls = 0

def score(prepared, accelerator, objective, **rest):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rate = prepared.recipe.optim.lr
    if rate > 0.01:
        raise tuning.HubtlError("a loss is not finite")
    return -abs(math.log10(rate) + 2.5), {"collapsed": 0.0, "source-accuracy": 0.9 if rate < 1e-3 else 0.5}

tuning._score = score
RECIPE = %r
tuning.tune(RECIPE, trials=int(sys.argv[3]), search=["optim.lr=1e-5:1e-1:log", "weight=0:2"], output_dir=sys.argv[1])
print("scored", calls)
"""


def search(script, folder, kill_at, trials):
    command = [sys.executable, str(script), str(folder), str(kill_at), str(trials)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def trials_of(folder):
    found = json.loads((folder / "tune.json").read_text())["trials"]
    return [(t["order"], t["parameters"], t["score"], t["refused"]) for t in sorted(found, key=lambda t: t["order"])]


def test_a_killed_search_goes_on_as_if_nothing_had_happened(tmp_path):
    script = tmp_path / "search.py"
    script.write_text(FAKE % RECIPE, encoding="utf-8")
    whole = search(script, tmp_path / "whole", 0, 16)
    assert whole.returncode == 0, whole.stderr
    killed = search(script, tmp_path / "killed", 14, 16)
    assert killed.returncode == -signal.SIGKILL
    assert len(trials_of(tmp_path / "killed")) == 13
    again = search(script, tmp_path / "killed", 0, 16)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split() == ["scored", "3"], "a trial was lost, or done twice"
    assert trials_of(tmp_path / "killed") == trials_of(tmp_path / "whole")
    refusals = {refused for *_, refused in trials_of(tmp_path / "whole")}
    assert refusals == {None, "diverged", "lost the source"}
    best = json.loads((tmp_path / "whole" / "tune.json").read_text())["trials"][0]
    assert best["parameters"]["optim.lr"] < 1e-3, "a trial that lost the source came first"


def faked(monkeypatch):
    calls = []

    def score(prepared, accelerator, objective, **rest):
        calls.append(prepared.recipe.optim.lr)
        return -abs(math.log10(calls[-1]) + 2.5), {}

    monkeypatch.setattr(tuning, "_score", score)
    return calls


def test_the_seed_decides_what_is_tried_and_more_trials_go_on(tmp_path, monkeypatch):
    calls = faked(monkeypatch)
    hubtl.tune(RECIPE, trials=4, search=LR, output_dir=tmp_path / "a")
    hubtl.tune(RECIPE, trials=2, search=LR, output_dir=tmp_path / "b")
    found = hubtl.tune(RECIPE, trials=4, search=LR, output_dir=tmp_path / "b")
    assert len(found.trials) == 4
    assert calls[:4] == calls[4:]
    other = {**RECIPE, "run": {**RECIPE["run"], "seed": 1}}
    hubtl.tune(other, trials=2, search=LR, output_dir=tmp_path / "c")
    assert calls[9] != calls[1]
    assert len(hubtl.tune(RECIPE, trials=3, search=LR, output_dir=tmp_path / "b").trials) == 4
    assert len(calls) == 10


def test_a_folder_of_another_search_is_left_alone(tmp_path, monkeypatch):
    faked(monkeypatch)
    hubtl.tune(RECIPE, trials=1, search=LR, output_dir=tmp_path / "a")
    before = (tmp_path / "a" / "tune.json").read_bytes()
    with pytest.raises(HubtlError, match="started with another space"):
        hubtl.tune(RECIPE, trials=2, search=["optim.lr=1e-5:1e-2:log"], output_dir=tmp_path / "a")
    with pytest.raises(HubtlError, match="started with another recipe"):
        hubtl.tune({**RECIPE, "strategy": "dann"}, trials=2, search=LR, output_dir=tmp_path / "a")
    assert (tmp_path / "a" / "tune.json").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(HubtlError, match="is not empty"):
        hubtl.tune(RECIPE, trials=1, output_dir=tmp_path / "mine")


def test_two_searches_do_not_share_a_folder(tmp_path, monkeypatch):
    from filelock import FileLock

    faked(monkeypatch)
    hubtl.tune(RECIPE, trials=1, search=LR, output_dir=tmp_path)
    with FileLock(tmp_path / "study.lock"), pytest.raises(HubtlError, match="another hubtl tune is at work"):
        hubtl.tune(RECIPE, trials=2, search=LR, output_dir=tmp_path)


def test_a_damaged_study_is_one_error_and_any_name_is_a_folders(tmp_path, monkeypatch):
    faked(monkeypatch)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "study.db").write_text("no database, and longer than the head of one" * 4)
    with pytest.raises(HubtlError, match=r"study\.db cannot be used: file is not a database"):
        hubtl.tune(RECIPE, trials=1, output_dir=damaged)
    folder = tmp_path / "what? 100%41"
    hubtl.tune(RECIPE, trials=1, output_dir=folder)
    assert (folder / "study.db").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"damaged", folder.name}


def test_a_recipe_may_say_what_to_search(tmp_path, monkeypatch):
    faked(monkeypatch)
    found = hubtl.tune({**RECIPE, "tune": {"weight": "0:2"}}, trials=1, output_dir=tmp_path / "a")
    assert list(found.trials[0]["parameters"]) == ["weight"]
    assert "tune" not in read(tmp_path / "a" / "recipe.yaml")


def test_a_missing_extra_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(tuning, "find_spec", lambda name: None)
    with pytest.raises(HubtlError, match="needs optuna") as caught:
        hubtl.tune(RECIPE)
    assert caught.value.hint == 'pip install "hubtl[tune]"'


def test_the_command_ranks_its_trials(tmp_path, monkeypatch, capsys):
    import yaml

    from hubtl.cli.tune import tune as command

    faked(monkeypatch)
    path = Path(tmp_path / "recipe.yaml")
    path.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    common = {"set_": ["optim.lr=0.003"], "validator": None, "oracle": False, "output_dir": tmp_path / "tune"}
    command(path, trials=2, search=LR, json_=False, quiet=True, debug=True, **common)
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["rank", "trial", "infomax", "source", "optim.lr"]
    assert table[1].split() == ["1", "0", "-0.0229", "–", "0.003"]
    assert f"hubtl adapt {tmp_path}/tune/recipe.yaml" in table[-1]
    command(path, trials=2, search=LR, json_=True, quiet=True, debug=True, **common)
    assert json.loads(capsys.readouterr().out)["best"] == 0
