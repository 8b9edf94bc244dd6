"""A multi-label model through the Hub: what is pushed is pulled with its thresholds, and answers the same."""

import json

import pytest
from datasets import DatasetDict, load_from_disk

import hubtl
from hubtl.card import document
from tests.tasks.test_multilabel_runs import CLASSES, QUICK, flags, split

pytestmark = [pytest.mark.hub, pytest.mark.slow]


def test_a_pushed_model_answers_with_its_thresholds(hub, client, tmp_path):
    for seed, name in enumerate(("source", "target")):
        rows = {"train": split(48, seed), "test": split(24, seed + 5)}
        DatasetDict(rows).save_to_disk(str(tmp_path / name))
    done = hubtl.adapt(**flags(tmp_path, tmp_path / "run", strategy="coral", baseline=False, **QUICK))
    client.push(done.output_dir, "user/labels")
    saved = json.loads(hub.files("user/labels")["hubtl.json"])
    assert saved["outputs"]["details"]["thresholds"] == done.record.outputs.details["thresholds"]
    front = document.parse(hub.files("user/labels")["README.md"].decode()).metadata
    assert front["pipeline_tag"] == "image-classification"
    assert front["metrics"] == ["mAP", "f1"]
    folder = tmp_path / "images"
    folder.mkdir()
    for number, row in enumerate(load_from_disk(str(tmp_path / "target"))["test"].select(range(4))):
        row["image"].save(folder / f"{number}.png")
    there = client.type("predict", "user/labels", str(folder), "--json", "--top-k", str(len(CLASSES)))
    assert there.code == 0, there.err
    answers = json.loads(there.out)["predictions"]
    local = hubtl.load(done.output_dir).predict(str(folder))
    assert [answer["labels"] for answer in answers] == [answer.labels for answer in local]
    best = [max(answer.probabilities.values()) for answer in local]
    assert [answer["probability_1"] for answer in answers] == pytest.approx(best, abs=1e-5)
