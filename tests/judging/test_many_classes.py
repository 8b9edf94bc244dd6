"""A record grows with classes and rows, not with squared classes; what shows them all is bounded."""

import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from hubtl.card import render
from hubtl.record import Evaluation, RunRecord
from hubtl.tasks.classification import plots as classes_plots
from hubtl.tasks.classification.measuring import calibration_error, reliability
from hubtl.tasks.classification.measuring import figures_of as evaluation
from tests import records


def figures(classes, rows, seed=0, noise=0.0):
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (rows,), generator=draw)
    logits = torch.randn(rows, classes, generator=draw) + noise * torch.randn(rows, classes)
    logits[torch.arange(rows), y] += 3.5
    return evaluation(logits, y.numpy(), [f"class {i}" for i in range(classes)])


def record_of(before, after):
    record = records.gain(source_only=before, adapted=after)
    record.outputs.names = [score.name for score in after.per_class]
    return record


def test_the_record_is_linear_in_the_number_of_classes(tmp_path):
    sizes = []
    for classes in (500, 2000):
        record = record_of(figures(classes, 2000), figures(classes, 2000, noise=1.0))
        record.save(tmp_path)
        sizes.append((tmp_path / "record.json").stat().st_size)
        assert RunRecord.load(tmp_path).to_json() == record.to_json()
    assert sizes[1] < 4.2 * sizes[0]


@pytest.mark.slow
def test_figures_of_twenty_thousand_classes_take_seconds(tmp_path):
    began = time.monotonic()
    after = figures(20_000, 1500)
    record = record_of(after, after)
    record.save(tmp_path)
    text = render(RunRecord.load(tmp_path))
    classes_plots.confusion(after.figures, record.classes, tmp_path / "confusion.png", "shot on the target")
    assert time.monotonic() - began < 60  # the matrix alone has 400 million cells
    assert (tmp_path / "record.json").stat().st_size < 8_000_000
    assert len(text) < 200_000
    assert "19600 more classes" in text.replace(",", "")
    assert (tmp_path / "confusion.png").stat().st_size < 2_000_000


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_cells_are_the_matrix(rows):
    labels, predicted = (np.array(column) for column in zip(*rows, strict=True))
    found = evaluation(torch.eye(5)[torch.from_numpy(predicted)], labels, list("abcde"))
    scored = labels >= 0
    if not scored.any():
        assert found.confusion == []
        return
    matrix = confusion_matrix(labels[scored], predicted[scored], labels=range(5)).tolist()
    assert found.confusion == matrix
    assert found.confusion_among([3, 1]) == [[matrix[3][3], matrix[3][1]], [matrix[1][3], matrix[1][1]]]
    assert all(n > 0 for _, _, n in found.confusion_cells)
    assert Evaluation.model_validate_json(found.model_dump_json()).confusion == matrix


def test_records_with_a_whole_matrix_go_on_loading(tmp_path):
    record = records.gain()
    record.save(tmp_path)
    old = json.loads((tmp_path / "record.json").read_text())
    for figures_ in (old["source_only"], old["adapted"]):
        del figures_["figures"]["confusion_cells"]
    old["source_only"]["figures"]["confusion"] = record.source_only.confusion
    old["adapted"]["figures"]["confusion"] = record.adapted.confusion
    (tmp_path / "record.json").write_text(json.dumps(old))
    again = RunRecord.load(tmp_path)
    assert again == record
    assert again.adapted.confusion == record.adapted.confusion
    assert render(again) == render(record)


def test_cells_are_a_line_each_and_names_are_left_alone(tmp_path):
    record = records.gain()
    record.outputs.names[0] = record.adapted.per_class[0].name = "[\n    1,\n    2,\n    3\n]"
    record.save(tmp_path)
    text = (tmp_path / "record.json").read_text()
    assert RunRecord.load(tmp_path) == record
    assert f"[{', '.join(map(str, record.adapted.confusion_cells[0]))}]" in text


@pytest.mark.parametrize("n", [1, 7, 300])
def test_confidence_in_parts_is_confidence(n, monkeypatch):
    monkeypatch.setattr("hubtl.tasks.classification.measuring.PART", 50)
    draw = torch.Generator().manual_seed(n)
    logits, labels = 3 * torch.randn(n, 6, generator=draw), torch.randint(0, 6, (n,), generator=draw).numpy()
    found, p = evaluation(logits, labels, list("abcdef")), logits.softmax(dim=1).numpy()
    assert found.ece == pytest.approx(calibration_error(p, labels))
    assert found.reliability == reliability(p, labels)


def test_the_matrix_of_many_classes_shows_those_mistaken_most(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(classes_plots, "save", lambda figure, path, theme: seen.update(figure=figure))
    matrix = np.zeros((450, 450), dtype=int)
    np.fill_diagonal(matrix, 10)
    matrix[8, 440] = 30
    matrix[440, 8] = 10
    names = [f"class {i}" for i in range(450)]
    classes_plots.confusion(records.from_confusion(matrix, names).figures, names, tmp_path / "c.png", "t")
    axes = seen["figure"].axes[0]
    assert len(axes.images[0].get_array()) == 60
    assert "60 of 450 classes" in axes.get_title()
    assert "class 8" in [label.get_text() for label in axes.get_yticklabels()]
    shares = np.array(axes.images[0].get_array())
    assert shares.max() == 1
    assert 0.75 in shares  # 30 of the 40 rows of class 8, whichever classes are shown
    before = records.from_confusion(matrix, names)
    classes_plots.per_class(
        before.figures, records.from_confusion(np.diag([10] * 450), names).figures, tmp_path / "p.png"
    )
    axes = seen["figure"].axes[0]
    assert "150 of 450 classes" in axes.get_title()
    assert {"class 8", "class 440"} <= {label.get_text() for label in axes.get_yticklabels()}
