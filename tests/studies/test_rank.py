"""``hubtl rank``: the better backbone first, every failure its own, nothing read that may not be."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import hubtl
from hubtl import backbones
from hubtl.backbones.base import BackboneRequest
from hubtl.cli.rank import _show as show
from hubtl.data import cache
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from hubtl.studies import rank as ranking
from hubtl.tasks.classification import Classification, transferability
from hubtl.tasks.classification.transferability import leep

DIGITS = "builtin:digits/uci"
SMALL = {"target_split": "train[:300]", "device": "cpu"}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A LeNet trained on digits, as a folder with its classifier. Beside it is one of which the features are useless."""
    root = tmp_path_factory.mktemp("models")
    hubtl.adapt(
        model="lenet", pretrained=False, target_dataset="builtin:digits/mnist", steps=100, lr=0.02, batch_size=64,
        output_dir=str(root / "good"), device="cpu", options={"run.plots": False},
    )  # fmt: skip
    torch.manual_seed(0)
    backbone = backbones.resolve("lenet", BackboneRequest([str(i) for i in range(10)], pretrained=False))
    with torch.no_grad():
        for p in backbone.convolutions.parameters():
            p.mul_(1e-4)  # what is left of the image drowns
    meta = {"task": "classification", "strategy": "finetune", "base_model": None, "revision": None}
    api.save(root / "dull", backbone, nn.Linear(500, 10), [str(i) for i in range(10)], meta)
    return root


def test_the_backbone_that_was_trained_for_it_is_first(trained, tmp_path):
    found = hubtl.rank([str(trained / "dull"), str(trained / "good")], DIGITS, output=tmp_path / "rank.json", **SMALL)
    assert [(m.model, m.rank) for m in found.models] == [("good", 1), ("dull", 2)]
    good, dull = found.models
    assert set(good.scores) == set(ranking.SCORES)
    for score in ranking.SCORES:
        assert good.scores[score] > dull.scores[score], score
    assert good.scores["linear-probe"] > 0.9
    assert (good.library, good.width, good.image_size, good.pretrained) == ("hubtl", 500, 28, True)
    assert (found.by, found.labels, found.rows, found.scored_rows, found.source) == ("logme", "target", 300, 300, None)
    assert found.notes == []
    assert json.loads((tmp_path / "rank.json").read_text()) == found.model_dump(mode="json")


def test_leep_is_of_the_models_own_classifier(trained):
    """The softmax that the saved model itself gives, on the same rows."""
    (found,) = hubtl.rank(str(trained / "good"), DIGITS, **SMALL).models
    from hubtl.data.opening import opened

    rows = opened(DIGITS).splits["train"].select(range(300))
    theta = api.load(trained / "good", device="cpu").logits(rows["image"][:]).softmax(dim=1).numpy()
    assert found.scores["leep"] == pytest.approx(leep(theta, np.array(rows["label"][:])), abs=1e-5)
    assert found.scores["leep"] > -1.6  # to know nothing would be −2.3


@pytest.mark.parametrize("by", ranking.SCORES)
def test_each_score_can_rank(trained, by):
    found = hubtl.rank([str(trained / "dull"), str(trained / "good")], DIGITS, by=by, **SMALL)
    assert [m.model for m in found.models] == ["good", "dull"]


def test_random_weights_are_asked_for_and_said_to_be_so():
    with pytest.raises(HubtlError, match="the model could be scored: lenet has no pretrained weights") as refused:
        hubtl.rank("lenet", DIGITS, **SMALL)
    assert refused.value.hint == "--no-pretrained"
    found = hubtl.rank("lenet, test_vit", DIGITS, pretrained=False, **SMALL)
    assert "random weights, as asked" in found.notes[0]
    assert [m.not_measured for m in found.models] == [{"leep": "no classifier came with its weights"}] * 2
    assert {m.model for m in found.models} == {"lenet", "test_vit"}
    assert all(m.pretrained is False and "leep" not in m.scores for m in found.models)


def test_a_model_that_fails_does_not_end_the_ranking(tmp_path):
    (tmp_path / "empty").mkdir()
    models = ["lenot", str(tmp_path / "empty"), "lenet", "test_vit"]
    found = hubtl.rank(models, DIGITS, pretrained=False, image_size=20, **SMALL)
    lenet, *failed = found.models
    assert (lenet.model, lenet.rank, lenet.error) == ("lenet", 1, None)
    assert [(m.model, m.rank, m.scores) for m in failed[:2]] == [(name, None, {}) for name in models[:2]]
    assert "unknown model 'lenot'" in str(failed[0].error)
    assert "no config.json" in str(failed[1].error)


def test_features_that_are_no_numbers_fail_alone(trained, monkeypatch):
    original = backbones.resolve

    def resolve(name, request):
        backbone = original(name, request)
        if name.endswith("dull"):
            with torch.no_grad():
                backbone.linear[0].bias[0] = float("nan")
        return backbone

    monkeypatch.setattr(ranking.backbones, "resolve", resolve)
    found = hubtl.rank([str(trained / "dull"), str(trained / "good")], DIGITS, **SMALL)
    assert [m.model for m in found.models] == ["good", "dull"]
    assert found.models[1].rank is None
    assert set(found.models[1].not_measured) == set(ranking.SCORES)
    assert "300 of 300 rows are not finite" in found.models[1].not_measured["logme"]


def test_a_second_ranking_and_a_linear_probe_read_what_the_first_one_kept(tmp_path, caplog):
    settings = {"model": "lenet", "target_dataset": DIGITS, "pretrained": False, "device": "cpu"}
    first = hubtl.rank("lenet", DIGITS, pretrained=False, device="cpu")
    caplog.clear()
    with caplog.at_level("INFO"):
        second = hubtl.rank("lenet", DIGITS, pretrained=False, device="cpu")
        assert "one pass over" not in caplog.text
        hubtl.adapt(
            **settings, strategy="linear-probe", steps=2, output_dir=str(tmp_path / "run"), options={"run.plots": False}
        )
    assert caplog.text.count("one pass over") == 1  # the evaluation rows, which a ranking does not see
    assert "builtin:digits/uci/train: 1197 rows from the cache" in caplog.text
    assert first.models[0].scores == second.models[0].scores
    assert len(cache.entries()) == 2


def test_with_a_source_its_labels_are_scored_and_the_targets_are_never_read(trained, monkeypatch):
    read = []
    original = Classification.targets
    monkeypatch.setattr(
        Classification, "targets", lambda task, labels, *rest: read.append(len(labels)) or original(task, labels, *rest)
    )
    found = hubtl.rank(
        str(trained / "good"), DIGITS, source_dataset="builtin:digits/mnist", source_split="train[:400]", **SMALL
    )
    assert read == [400]
    assert (found.labels, found.source, found.target, found.rows) == ("source", "builtin:digits/mnist", DIGITS, 400)
    (good,) = found.models
    assert good.scores["linear-probe"] > 0.9
    assert 0.5 < good.a_distance <= 2  # MNIST's digits are not those of UCI
    assert "labels of the target, if it has any, are not read" in found.notes[0]


def test_a_domain_is_no_distance_from_itself(trained):
    found = hubtl.rank(str(trained / "good"), DIGITS, source_dataset=DIGITS, source_split="train[300:600]", **SMALL)
    assert found.models[0].a_distance < 0.5


def test_a_disagreement_of_the_probe_is_said(trained, monkeypatch):
    real = transferability.logme
    monkeypatch.setattr(transferability, "logme", lambda f, y: -real(f, y))
    found = hubtl.rank([str(trained / "dull"), str(trained / "good")], DIGITS, **SMALL)
    assert found.models[0].model == "dull"
    assert "the linear probe would put good first" in found.notes[0]


def test_no_more_rows_are_scored_than_help(trained, monkeypatch):
    monkeypatch.setattr(ranking, "SCORED_ROWS", 100)
    found = hubtl.rank(str(trained / "good"), DIGITS, **SMALL)
    assert (found.rows, found.scored_rows) == (300, 100)
    assert found.notes == ["scored on 100 of 300 rows, spread over them"]
    assert cache.entries()[0].facts["rows"] == 300


def test_classes_without_a_row_are_named(tmp_path, trained):
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, classes in (("train", ("cat", "dog")), ("test", ("cat", "dog", "emu"))):
        for name in classes:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                shade = rng.integers(0, 100, (28, 28), dtype=np.uint8) + (100 if name == "dog" else 0)
                Image.fromarray(shade.astype(np.uint8)).save(folder / f"{i}.png")
    found = hubtl.rank(str(trained / "good"), str(tmp_path), device="cpu")
    assert (found.outputs, found.rows) == (["cat", "dog", "emu"], 8)
    assert found.notes == ["classes without a scored row (1): emu"]


def unlabelled(tmp_path):
    from PIL import Image

    for i in range(12):
        Image.fromarray(np.full((28, 28), 20 * i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"models": " , "}, "no models are given", "--models resnet18"),
        ({"by": "logmee"}, "unknown score 'logmee'", "logme"),
        ({"strategy": "dann"}, "rank\\(\\) has no argument 'strategy'", "one of"),
        ({"source_split": "train"}, "no source", "--source-dataset"),
        ({"output": "."}, "is a folder, and a file is to be written", "--output"),
        ({"target_split": "trian"}, "unknown split", "--target-split train"),
        ({"image_size": 2}, "model.image_size is 2", "hubtl adapt --help"),
    ],
)
def test_mistakes_are_met_before_any_model_is_loaded(arguments, message, hint, monkeypatch):
    monkeypatch.setattr(ranking.backbones, "resolve", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(HubtlError, match=message) as refused:
        hubtl.rank(**{"models": "lenet", "target_dataset": DIGITS, "pretrained": False, **arguments})
    assert hint in str(refused.value.hint)


def test_a_target_without_labels_needs_a_source(tmp_path, trained):
    target = unlabelled(tmp_path)
    with pytest.raises(HubtlError, match="has no labels to score features against") as refused:
        hubtl.rank(str(trained / "good"), target)
    assert "--source-dataset" in str(refused.value.hint)
    found = hubtl.rank(str(trained / "good"), target, source_dataset=DIGITS, source_split="train[:200]", device="cpu")
    assert found.models[0].a_distance is not None
    with pytest.raises(HubtlError, match=r"the source .* has no labels"):
        hubtl.rank(str(trained / "good"), DIGITS, source_dataset=target)


def test_the_command_prints_json_or_a_table_with_the_reasons_beside_it(tmp_path, capsys):
    output = tmp_path / "rank.json"
    words = [sys.executable, "-m", "hubtl", "rank", "--models", "lenet,test_resnet", "--models", "lenot", "--json"]
    words += ["--no-pretrained", "--image-size", "32", "--target-dataset", DIGITS, "--target-split", "train[:200]"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, "--output", str(output)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(output.read_text())
    found = ranking.Ranking.model_validate_json(done.stdout)
    assert found.models[2].error is not None
    show(found)
    out, err = capsys.readouterr()
    header, *lines = [line.split("\t") for line in out.splitlines()]
    assert header == ["", "model", "LogME", "LEEP", "H-score", "linear probe", "width", "px"]
    assert {line[1] for line in lines} == {"lenet", "test_resnet"}
    assert [line[0] for line in lines] == ["1", "2"]
    assert [line[3] for line in lines] == ["not measured"] * 2
    assert [line[2] for line in lines] == [f"{m.scores['logme']:.3f}" for m in found.models[:2]]
    assert "LEEP of lenet: not measured (no classifier came with its weights)" in err
    assert "not ranked: lenot: unknown model 'lenot'" in err
    assert "by LogME, on 200 rows of builtin:digits/uci (train[:200]), 10 classes" in err


def test_a_wrong_score_is_exit_code_2():
    words = [sys.executable, "-m", "hubtl", "rank", "--models", "lenet", "--target-dataset", DIGITS, "--by", "loudest"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: invalid value for '--by'")
