"""Where no labels are found the hint names what could be read: columns, options and the task, also one from outside."""

import json
import shlex

import pytest
from PIL import Image

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.recipe.flags import KEYS
from hubtl.recipe.reading import merge, parse, parse_set
from hubtl.run import hints
from hubtl.run.plan import describe, facts
from hubtl.run.prepare import default_output_dir, prepare
from hubtl.tasks import Task
from tests.tasks.outside.outside_ranks import Ranks

CASES = [
    ({"angle": 0.25}, {}, "--task regression --label-column angle"),
    ({"cat": 0, "dog": 1}, {}, "--task multi-label --label-column cat,dog"),
    ({"tags": "sea, boat"}, {}, "--task multi-label --label-column tags --set task.separator=comma"),
    (
        {"angle": 0.25},
        {"label_column": "angle"},
        "--task regression --label-column angle, or --label-column for another",
    ),
    ({"cat": 0, "dog": 1}, {"task": "multi-label"}, "--label-column cat,dog"),
]


def folder(root, cells):
    """Twelve grey images; a number changes from row to row, and every other text is its first word."""
    lines = []
    for number in range(12):
        Image.new("L", (28, 28), 20 * number).save(root / f"{number}.png")
        own = {name: _cell(cell, number) for name, cell in cells.items()}
        lines.append(json.dumps({"file_name": f"{number}.png", **own}))
    (root / "metadata.jsonl").write_text("\n".join(lines))
    return str(root)


def _cell(cell, number):
    if isinstance(cell, str):
        return cell if number % 2 else cell.split(",")[0]
    return cell + number % 2 if isinstance(cell, int) and not cell else cell * (number % 3)


def opened(data, **more):
    given = {"model": "lenet", "pretrained": False, "source_dataset": data, "target_dataset": data, "device": "cpu"}
    return prepare(parse(merge({}, {KEYS.get(name, name): value for name, value in (given | more).items()})))


@pytest.mark.parametrize(("cells", "given", "hint"), CASES)
def test_the_hint_is_what_can_be_typed(tmp_path, cells, given, hint):
    cells = {name: cell if cell != 1 else 0 for name, cell in cells.items()}
    data = folder(tmp_path, cells)
    with pytest.raises(HubtlError) as refused:
        opened(data, **given)
    assert refused.value.hint.startswith(hint)
    typed = shlex.split(refused.value.hint.split(", or")[0])
    flags = dict(zip(typed[::2], typed[1::2], strict=True))
    changes = parse_set([flags["--set"]]) if "--set" in flags else {}
    task = flags.get("--task", given.get("task"))
    assert opened(data, task=task, label_column=flags["--label-column"], **changes).source.labelled


def test_a_task_from_outside_is_named_and_one_that_fails_is_not(tmp_path, monkeypatch):
    class Grades(Ranks):
        def find(self, dataset, asked, where, aside=None):
            return ["grade"] if "grade" in dataset.features else [], []

    class Fails(Ranks):
        def find(self, dataset, asked, where, aside=None):
            raise RuntimeError

    known: dict[str, type[Task]] = {"ranks": Grades, "fails": Fails}
    load, entries = plugins.load, plugins.entries
    monkeypatch.setattr(
        hints.plugins, "entries", lambda kind: entries(kind) | known if kind == "tasks" else entries(kind)
    )
    monkeypatch.setattr(hints.plugins, "load", lambda kind, name: known.get(name) or load(kind, name))
    with pytest.raises(HubtlError) as refused:
        opened(folder(tmp_path, {"grade": 0}))
    assert refused.value.hint == "--task ranks --label-column grade"


def test_a_plan_says_how_many_labels_of_the_target_are_learnt_from_and_what_is_held_out(tmp_path):
    data = folder(tmp_path, {"cat": 0, "dog": 0})
    given = {"task": "multi-label", "label_column": "cat,dog", "target_labels_per_class": 2, "strategy": "coral"}
    prepared = opened(data, **given)
    said = describe(facts(prepared, ""))
    assert "learnt from: 2 labelled rows of each class" in said
    assert "of train held out to evaluate" in said
    assert default_output_dir(prepared.recipe).name.endswith("-multi-label")


def test_a_plan_for_numbers_speaks_of_no_sets(tmp_path):
    prepared = opened(folder(tmp_path, {"angle": 0.25}), task="regression", label_column="angle", strategy="coral")
    assert describe(facts(prepared, "")).splitlines()[0] == "setting    adaptation"
