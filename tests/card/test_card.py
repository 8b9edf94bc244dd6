"""The model card: what it says follows from the record, and the Hub takes it."""

import copy
import html
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from hubtl.card import document, metadata, plots, render, wording, written_for
from hubtl.card.themes import THEMES, Theme
from hubtl.cli.card import card
from hubtl.errors import HubtlError
from hubtl.record import Calibration, Difference, DomainFacts, Evaluation, Outputs, RunRecord, Shift, Verdict
from hubtl.tasks.classification import plots as classes_plots
from hubtl.tasks.regression import RegressionFigures
from tests import records

EVERY = pytest.mark.parametrize("make", records.ALL.values(), ids=records.ALL)
NASTY = [
    "a|b",
    "line\nbreak",
    "<script>alert(1)</script>",
    "`code`",
    "*bold* _under_",
    "[x](http://evil)",
    "<!-- hubtl:end -->",
    "ends with \\",
    "$\\alpha_{$",
    "猫",
]


def body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def outside_code(text: str) -> list[str]:
    """The lines of a card that are not in a code block."""
    lines, fence = [], None
    for line in text.split("\n"):
        if mark := re.match(r"`{3,}", line):
            fence = None if fence == mark.group() else fence or mark.group()
        elif fence is None:
            lines.append(line)
    assert fence is None, "a code block is never closed"
    return lines


def tables(text: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in outside_code(text):
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) - 1


def assert_tables_are_well_formed(text: str) -> None:
    found = tables(text)
    assert found
    for table in found:
        assert re.fullmatch(r"\|(:?-+:?\|)+", table[1].replace(" ", "")), table[:2]
        assert {cells(row) for row in table} == {cells(table[1])}, table
        assert all(row.endswith("|") for row in table)


@EVERY
def test_card_has_no_blank_figure_and_the_hub_takes_its_metadata(make: Callable[[], RunRecord]) -> None:
    text = render(make())
    assert not re.search(r"\b(None|nan|inf|NaN|Undefined)\b", text)
    assert "  |  |  |" not in text
    assert "\n\n\n" not in body(text)
    assert_tables_are_well_formed(text)
    parsed = document.parse(text)
    assert metadata.problems(parsed.metadata) == []
    assert parsed.metadata == metadata.of(make())
    again = ModelCard(text).data.to_dict()
    assert again.get("model-index") == parsed.metadata.get("model-index")
    assert again["tags"] == parsed.metadata["tags"]


@EVERY
def test_rendering_twice_changes_nothing(make: Callable[[], RunRecord]) -> None:
    first = render(make(), repo="me/model")
    assert render(make(), existing=first, repo="me/model") == first
    assert written_for(first) == "me/model"
    assert written_for(render(make())) is None


def test_headline_shows_both_accuracies_their_difference_and_the_rows() -> None:
    record = records.gain()
    assert record.source_only is not None
    assert record.adapted is not None
    record.source_only.primary.value, record.adapted.primary.value, record.adapted.n = 0.6125, 0.7041, 1234
    top = render(record).split("## Use it")[0]
    assert "| measured | 61.3% | **70.4%** | **+9.2 points** |" in top
    assert "On 1,234 held-out target rows (split `test`)." in top
    assert "[timm/resnet50.a1_in1k]" in top
    assert top.count("⚠️") == 0


def test_tables_hold_the_figures_of_both_models_with_the_sign_of_the_change() -> None:
    record = records.gain()
    assert record.source_only is not None
    assert record.adapted is not None
    for name, before, after in (("balanced_accuracy", 0.5, 0.625), ("macro_f1", 0.4, 0.3), ("ece", 0.2, 0.2001)):
        setattr(record.source_only.figures, name, before)
        setattr(record.adapted.figures, name, after)
    record.source_only.source, record.adapted.source = 0.95, 0.9
    text = render(record)
    assert "| balanced accuracy | 50.0% | 62.5% | +12.5 |" in text
    assert "| macro F1 | 40.0% | 30.0% | −10.0 |" in text
    assert "| expected calibration error | 20.0% | 20.0% | 0.0 |" in text
    assert "| source accuracy | 95.0% | 90.0% | −5.0 |" in text


def test_rows_that_training_saw_are_not_called_held_out() -> None:
    foreign = render(records.foreign())
    assert "held-out" not in foreign
    assert "target rows (split `train`) that training saw too, without their labels" in foreign
    transfer = records.transfer()
    transfer.target = transfer.target.model_copy(update={"eval_split": "train"})
    assert "that training saw too, with their labels" in render(transfer)


def test_intervals_are_wilsons() -> None:
    low, high = wording.wilson(0.5, 100) or (0, 0)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))
    assert wording.wilson(1.0, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert wording.interval(None) is None


def test_averaged_weights_are_said_and_the_last_ones_are_not() -> None:
    record = records.gain()
    assert "running average" not in render(record)
    record.recipe["optim"] = {"averaging": 0.1}
    assert (
        "running average over each phase's updates, with a width of 0.1 of those so far; source-only's, too."
        in render(record)
    )
    record.baseline_training = None
    assert "of those so far." in render(record)


def test_transfer_has_one_number_and_says_that_target_labels_trained() -> None:
    top = render(records.transfer()).split("## Use it")[0]
    assert "source-only" not in top
    assert "| `finetune` | **84.5%** |" in top
    assert "TARGET LABELS WERE USED for training" in top


def test_a_run_that_does_not_adapt_is_not_called_adapted() -> None:
    text = render(records.source_only())
    assert "without adaptation to" in text
    assert "adapted with" not in text
    names = [m["name"] for m in metadata.of(records.source_only())["model-index"][0]["results"][0]["metrics"]]
    assert names[0] == "Accuracy"


def test_without_labels_figures_are_not_measured_and_no_result_is_claimed() -> None:
    text = render(records.unlabelled())
    top = text.split("## Use it")[0]
    assert top.count("not measured") >= 3
    assert "the 200 held-out target rows (split `test`) have no labels" in top
    assert "model-index" not in text.split("<!-- hubtl:start -->")[0]
    assert not re.search(r"\d%", text.split("## Results on the target")[1].split("## Forgetting on the source")[0])


def test_oracle_selection_is_loud_and_marks_the_metrics() -> None:
    text = render(records.oracle())
    assert "ORACLE SELECTION" in text.split("## Use it")[0]
    assert "Accuracy (oracle selection)" in text
    assert "oracle" not in render(records.gain()).lower()


def test_warnings_stand_beside_the_headline() -> None:
    top = render(records.negative()).split("## Use it")[0]
    for text in ("**collapse:** only 2 of 5", "no label-free evidence", "**negative transfer:**"):
        assert text in top
    assert top.count("negative transfer") == 1


def test_negative_transfer_is_said_even_if_the_run_did_not_warn() -> None:
    record = records.negative()
    record.warnings = []
    assert "**negative transfer:** the adapted model is " in render(record).split("## Use it")[0]


def test_classes_that_got_worse_are_marked_and_come_first() -> None:
    record = records.gain()
    assert record.source_only is not None
    assert record.adapted is not None
    record.source_only.per_class[3].recall, record.adapted.per_class[3].recall = 0.9, 0.65
    rows = render(record).split("### By class")[1].splitlines()[4:]
    assert rows[0] == "| desk lamp | 40 | 90.0% | 65.0% | **−25.0 ▼** |"
    assert sum(row.count("▼") for row in rows if row.startswith("|")) == 1


def test_limits_follow_from_the_evidence() -> None:
    def limits(record: RunRecord) -> str:
        return render(record).split("## Limits")[1].split("## Citation")[0]

    record = records.gain()
    assert "fewer than 20" not in limits(record)
    assert record.adapted is not None
    record.adapted.per_class[1].n = 19
    assert "fewer than 20 evaluation rows, whose figures mean little: bike (19)" in limits(record)
    assert "pretrained: false" in limits(records.foreign())
    assert "stapler" in limits(records.foreign())
    record.model.license = None
    assert "licence of the base weights" in limits(record)
    assert "difference may be chance" not in limits(record)
    record.source_only = record.adapted
    assert "difference may be chance" in limits(record)
    record.adapted.n = 150
    assert "150 rows only" in limits(record)


def figures(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every number in a dumped record."""
    if isinstance(value, dict):
        return [path for key, item in value.items() for path in figures(item, (*where, key))]
    if isinstance(value, list):
        return [path for i, item in enumerate(value) for path in figures(item, (*where, i))]
    return [where] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


# Shown by the plots, or part of figures that are shown themselves.
NOT_ON_THE_CARD = {"format_version", "curves", "confusion_cells", "predicted_counts", "label_counts", "precision", "f1"}


def test_every_figure_of_the_record_reaches_the_card() -> None:
    dumped = records.gain().model_dump()
    before = render(RunRecord.model_validate(dumped))
    checked = 0
    for path in figures(dumped):
        rows_of_a_class_are_shown_once = path[:3] == ("source_only", "figures", "per_class") and path[-1] == "n"
        of_the_recipe_only_the_seed_is_shown = path[0] == "recipe" and path[-1] != "seed"
        if NOT_ON_THE_CARD & set(path) or rows_of_a_class_are_shown_once or of_the_recipe_only_the_seed_is_shown:
            continue
        changed = copy.deepcopy(dumped)
        node: Any = changed
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = node[path[-1]] * 0.5 if isinstance(node[path[-1]], float) else node[path[-1]] + 3
        assert render(RunRecord.model_validate(changed)) != before, path
        checked += 1
    assert checked > 40


def test_two_records_give_two_cards() -> None:
    cards = {render(make()) for make in records.ALL.values()}
    assert len(cards) == len(records.ALL)


def test_snippets_name_the_repository_or_the_folder_and_are_python() -> None:
    def program(text: str) -> str:
        found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
        assert found is not None
        compile(found.group(1), "card", "exec")
        return found.group(1)

    assert 'timm.create_model("hf-hub:me/m", pretrained=True)' in program(render(records.gain(), repo="me/m"))
    assert 'timm.create_model("local-dir:.", pretrained=True)' in program(render(records.gain()))
    assert 'from_pretrained("me/m")' in program(render(records.transfer(), repo="me/m"))
    foreign = render(records.foreign(), repo="me/m")
    assert 'hubtl.load("me/m")' in program(foreign)
    assert 'convert("L")' in program(foreign)
    assert "Only hubtl loads this model: its bottleneck has a non-linearity" in foreign
    given = program(render(records.gain(), snippet="import x\nlogits = x.load('me/m')(image)"))
    assert given.index("Image.open") < given.index("x.load") < given.index("print(names[")


def test_a_native_format_names_its_library_and_any_other_names_hubtl() -> None:
    assert metadata.of(records.gain())["library_name"] == "timm"
    assert metadata.of(records.transfer())["library_name"] == "transformers"
    assert metadata.of(records.foreign())["library_name"] == "hubtl"
    assert metadata.of(records.gain(native=False))["library_name"] == "hubtl"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ("unknown", {}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("dinov3-license", {"license": "other", "license_name": "dinov3-license"}),
    ],
)
def test_licence_is_a_known_one_or_other_with_its_name_or_left_out(given: str | None, expected: dict[str, str]) -> None:
    record = records.gain()
    record.model.license = given
    assert {k: v for k, v in metadata.of(record).items() if k.startswith("license")} == expected


def test_local_paths_never_reach_the_metadata_or_the_headline() -> None:
    record = records.gain()
    record.model = record.model.model_copy(
        update={"name": "/home/ann/secret/net", "base_model": "/home/ann/secret/net"}
    )
    record.model.weights = None
    record.source = DomainFacts(dataset="/home/ann/secret/amazon", split="train")
    record.target = DomainFacts(dataset="C:\\Users\\ann\\secret\\webcam", hub_id="./secret/webcam", split="train")
    found = metadata.of(record)
    assert "base_model" not in found
    assert "datasets" not in found
    assert found["model-index"][0]["results"][0]["dataset"]["type"] == "local-webcam"
    assert metadata.problems(found) == []
    text = render(record)
    assert "secret" not in text
    assert "/home" not in text


def test_metadata_round_trips_through_the_hubs_own_reader() -> None:
    found = metadata.of(records.gain(), repo="me/m")
    name, results = model_index_to_eval_results(found["model-index"])
    assert name == "me/m"
    assert len(results) == 4
    accuracy = {r.metric_name: r.metric_value for r in results if r.metric_type == "accuracy"}
    assert accuracy == {"Accuracy": 0.845}, "the shipped model's alone"
    assert {(r.dataset_type, r.dataset_config, r.dataset_split) for r in results} == {
        ("office/webcam", "plain", "test")
    }
    assert ModelCardData(**found).to_dict()["model-index"] == found["model-index"]


def broken(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    found = copy.deepcopy(metadata.of(records.gain()))
    change(found)
    return found


def first_result(found: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = found["model-index"][0]["results"][0]
    return result


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(datasets=[None]), "datasets[0] is empty"),
        (lambda m: m.update(license=None), "license is empty"),
        (lambda m: m.update(datasets=["/home/ann/webcam"]), "datasets[0] is a local path"),
        (lambda m: m.update(datasets=["./webcam"]), "datasets[0] is a local path"),
        (lambda m: m.update(datasets=["builtin:mnist"]), "datasets[0] is 'builtin:mnist', not a Hub id"),
        (lambda m: m.update(datasets=["a/b/c"]), "not a Hub id"),
        (lambda m: m.update(base_model="../runs/net"), "base_model is a local path"),
        (lambda m: m.update(base_model="C:\\net"), "base_model is a local path"),
        (lambda m: m.update(base_model="user/name@rev"), "not a Hub id"),
        (lambda m: m.update(base_model="user/na--me"), "not a Hub id"),
        (lambda m: m.update(base_model=["ok/ok", 3]), "base_model[1] is 3"),
        (lambda m: m.update(license="my-own"), "license is 'my-own', which the Hub does not know"),
        (lambda m: m.update(tags=["x" * 101]), "tags[0]"),
        (lambda m: m.update(tags=["ok", 5]), "tags[1] is 5"),
        (lambda m: m.update(language=[False]), "language[0] is False, not text"),
        (lambda m: m.update({"model-index": {}}), "model-index is not a list"),
        (lambda m: m["model-index"][0].pop("name"), "model-index[0].name is missing"),
        (lambda m: m["model-index"][0].update(results=[]), "results is not a list of results"),
        (lambda m: first_result(m).pop("task"), "task.type is missing"),
        (lambda m: first_result(m)["dataset"].pop("name"), "dataset.name is missing"),
        (lambda m: first_result(m)["dataset"].update(type="/data/webcam"), "dataset.type is a local path"),
        (lambda m: first_result(m)["dataset"].update(config={"a": 1}), "dataset.config is {'a': 1}, not text"),
        (lambda m: first_result(m).update(metrics=[]), "metrics is not a list of metrics"),
        (lambda m: first_result(m)["metrics"][0].pop("type"), "metrics[0].type is missing"),
        (lambda m: first_result(m)["metrics"][0].update(value=float("nan")), "value is nan, not a finite number"),
        (lambda m: first_result(m)["metrics"][0].update(first_result(m)["metrics"][1]), "repeats the name"),
    ],
)
def test_lint_names_what_the_hub_would_refuse(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    found = metadata.problems(broken(change))
    assert any(said in problem for problem in found), found


def test_lint_takes_what_the_hub_takes() -> None:
    assert metadata.problems(broken(lambda m: m.update(datasets=["imagenet-1k", "a/b.c_d"], language="en"))) == []
    assert metadata.problems(broken(lambda m: m.update(license="other", license_name="dinov3-license"))) == []
    assert metadata.problems({}) == []
    assert metadata.problems(["no mapping"]) != []  # type: ignore[arg-type]


def test_a_persons_text_and_keys_survive() -> None:
    mine = "---\nlicense: cc-by-4.0\ntags:\n- birds\n- hubtl\nthumbnail: bird.png\n---\n# My bird model\n\nBe kind.\n"
    text = render(records.gain(), existing=mine)
    parsed = document.parse(text)
    assert parsed.after.strip() == "# My bird model\n\nBe kind."
    assert parsed.metadata["license"] == "cc-by-4.0"
    assert parsed.metadata["thumbnail"] == "bird.png"
    assert parsed.metadata["tags"] == [*metadata.of(records.gain())["tags"], "birds"]
    edited = text.replace("<!-- hubtl:start -->", "Above.\n\n<!-- hubtl:start -->")
    again = render(records.negative(), existing=edited)
    assert document.parse(again).before.strip() == "Above."
    assert document.parse(again).after == parsed.after
    assert "negative transfer" in again
    assert again.count("# My bird model") == 1


def test_what_an_earlier_run_wrote_goes_and_what_a_person_wrote_stays() -> None:
    first = render(records.gain())
    edited = first.replace("- hubtl\n", "- hubtl\n- birds\n", 1).replace("license: apache-2.0", "license: mit", 1)
    second = document.parse(render(records.foreign(), existing=edited)).metadata
    assert "birds" in second["tags"]
    assert "timm" not in second["tags"]
    assert second["license"] == "mit"
    assert "base_model" not in second
    assert "datasets" not in second
    untouched = document.parse(render(records.foreign(), existing=first)).metadata
    assert "license" not in untouched


def test_windows_line_ends_and_an_empty_front_matter_are_read() -> None:
    assert document.parse("---\r\ntags:\r\n- a\r\n---\r\nText\r\n") == ({"tags": ["a"]}, "", None, "Text\n")
    assert document.parse("---\n---\nText\n") == ({}, "", None, "Text\n")


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        ("---\ntags: [\n---\n", "not YAML"),
        ("---\njust text\n---\n", "not keys"),
        ("<!-- hubtl:start -->\nno end\n", "1 lines <!-- hubtl:start --> and 0 lines"),
        ("<!-- hubtl:end -->\n<!-- hubtl:start -->\n", "not one of each in this order"),
    ],
)
def test_a_broken_readme_is_an_error_and_not_overwritten(existing: str, said: str) -> None:
    with pytest.raises(HubtlError, match=re.escape(said)) as caught:
        render(records.gain(), existing=existing)
    assert caught.value.hint


def test_foreign_text_is_shown_and_cannot_break_the_card() -> None:
    record = records.gain(classes=NASTY, command="hubtl adapt 'a\n```\n<!-- hubtl:end -->\n'", warnings=NASTY)
    record.adapted = records.evaluation(classes=NASTY)
    record.source_only = records.evaluation(classes=NASTY, right=0.4)
    record.strategy_options = {"x|y": "<b>"}
    record.target = record.target.model_copy(
        update={"dataset": "a|b`<i>", "hub_id": None, "domain": "<u>|", "columns": {"image": "a|`b"}, "skipped": NASTY}
    )
    record.model.notes = ["<img src=x>"]
    record.plots = ["confusion.png", "../../etc/passwd.png", "a b](x).png"]
    text = render(record)
    assert_tables_are_well_formed(text)
    shown = "\n".join(outside_code(body(text)))
    for raw in ("<script", "<img", "<b>", "<u>", "<i>", "[x](http"):
        assert raw not in shown
    assert "a\\|b" in shown
    assert "line\\\\nbreak" in shown
    assert "&lt;script&gt;" in shown
    assert re.findall(r"plots/(\S+)\)", text) == ["confusion.png", "passwd.png"]
    assert document.parse(text).after == "\n"
    assert render(record, existing=text) == text


def test_plots_that_the_record_names_are_on_the_card_and_no_others() -> None:
    assert re.findall(r"\(plots/(\S+)\)", render(records.gain())) == records.gain().plots
    assert "plots/" not in render(records.gain(plots=[]))


def picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("c", [2, 12, 60])
def test_plots_are_drawn_for_few_and_many_classes_with_any_name(tmp_path: Path, c: int) -> None:
    classes = [*NASTY[:c], *(f"class {i}" for i in range(c - len(NASTY)))]
    before, after = (records.evaluation(classes=classes, right=right, n=8) for right in (0.5, 0.8))
    draw = np.random.default_rng(0)
    labels = draw.integers(-1, c, 40)
    sample = plots.FeatureSample(draw.normal(size=(40, 6)), draw.normal(size=(30, 6)), labels, labels[:30])
    classes_plots.confusion(after.figures, classes, tmp_path / "confusion.png", "to $x_{")
    classes_plots.per_class(before.figures, after.figures, tmp_path / "per_class.png")
    plots.features({"before": sample, "after": sample}, classes, tmp_path / "features.png")
    plots.curves(records.curves(), tmp_path / "curves.png")
    for path in tmp_path.iterdir():
        pixels = picture(path)
        assert pixels.shape[1] >= 600, path
        assert pixels.std() > 5, path
        assert tuple(pixels[0, 0]) == (255, 255, 255), path


def test_the_one_score_that_selected_has_an_axis_of_its_own(tmp_path: Path) -> None:
    from PIL import Image

    alone, judged = [{"step": 1.0, "dev": -0.5}, {"step": 2.0, "dev": -0.2}], tmp_path / "judged.png"
    plots.curves(records.curves(), judged, judged=alone)
    plots.curves(records.curves(), tmp_path / "plain.png")
    plots.curves(records.curves(), tmp_path / "voted.png", judged=[{"step": 1.0, "dev": -0.5, "snd": 1.0}])
    widths = []
    for name in ("plain", "judged", "voted"):
        with Image.open(tmp_path / f"{name}.png") as image:
            widths.append(image.width)
    plain, wide, voted = widths
    assert plain == voted < wide


def test_a_loss_with_a_validators_name_is_a_curve_of_its_own() -> None:
    points = [
        {"step": 1.0, "loss": 0.5, "entropy": 0.4, "critic_accuracy": 0.6},
        {"step": 1.0, "entropy": -0.3, "infomax": 1.0},
        {"step": 2.0, "loss": 0.4, "entropy": 0.3, "critic_accuracy": 0.5},
    ]
    (_, losses), (_, scores) = plots._panels(points)
    assert losses == {"loss": [(1.0, 0.5), (2.0, 0.4)], "entropy": [(1.0, 0.4), (2.0, 0.3)]}
    assert scores == {"critic_accuracy": [(1.0, 0.6), (2.0, 0.5)], "entropy": [(1.0, -0.3)], "infomax": [(1.0, 1.0)]}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.suffix or "light")
def test_a_plot_has_the_ground_and_the_ink_of_its_page(tmp_path: Path, theme: Theme) -> None:
    before, after = (records.evaluation(classes=["a", "b"], right=right, n=8) for right in (0.8, 0.5))
    draw = np.random.default_rng(0)
    sample = plots.FeatureSample(draw.normal(size=(20, 6)), draw.normal(size=(20, 6)), *[np.zeros(20, int)] * 2)
    classes_plots.confusion(after.figures, ["a", "b"], tmp_path / "confusion.png", "t", theme)
    classes_plots.per_class(before.figures, after.figures, tmp_path / "per_class.png", theme)
    plots.curves(records.curves(), tmp_path / "curves.png", theme)
    plots.features({"before": sample, "after": sample}, ["a", "b"], tmp_path / "features.png", theme=theme)
    page, ink = (np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) for colour in (theme.page, theme.ink))
    for path in tmp_path.iterdir():
        pixels = picture(path).reshape(-1, 3).astype(int)
        assert (pixels[0] == page).all(), path
        assert (np.abs(pixels - ink).sum(axis=1) < 12).sum() > 50, path  # its letters


def test_a_plot_for_dark_pages_is_shown_on_these_alone() -> None:
    text = render(records.gain(plots=["confusion.png", "confusion-dark.png", "curves.png"]))
    assert '<source media="(prefers-color-scheme: dark)" srcset="plots/confusion-dark.png">' in text
    assert '<img alt="confusion" src="plots/confusion.png">' in text
    assert text.count("plots/") == 3
    assert "![curves](plots/curves.png)" in text


def test_plots_show_the_figures_and_are_the_same_each_time(tmp_path: Path) -> None:
    classes = [f"c{i}" for i in range(30)]  # too many for numbers: only the colours tell
    one, other = (records.evaluation(right=right, classes=classes) for right in (0.3, 0.9))
    for name, evaluation in (("a", one), ("b", other), ("c", one)):
        classes_plots.confusion(evaluation.figures, classes, tmp_path / f"{name}.png", "t")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == c
    assert a != b


def test_rows_without_images_and_flat_features_are_drawn(tmp_path: Path) -> None:
    evaluation = records.from_confusion(np.array([[3, 1], [0, 0]]), ["a", "b"])
    classes_plots.confusion(evaluation.figures, ["a", "b"], tmp_path / "confusion.png", "t")
    classes_plots.per_class(evaluation.figures, evaluation.figures, tmp_path / "per_class.png")
    narrow = plots.FeatureSample(np.ones((12, 1)), np.zeros((12, 1)), np.zeros(12, int), np.ones(12, int))
    plots.features({"adapted": narrow}, ["a", "b"], tmp_path / "features.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_tsne_is_offered(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    sample = plots.FeatureSample(draw.normal(size=(20, 8)), draw.normal(size=(20, 8)), *[np.zeros(20, int)] * 2)
    plots.features({"before": sample, "after": sample}, ["a"], tmp_path / "tsne.png", method="tsne")
    assert picture(tmp_path / "tsne.png").std() > 5


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    records.gain().save(tmp_path)
    return tmp_path


def command(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(card)
    return CliRunner().invoke(app, list(arguments))


def test_card_command_writes_checks_and_prints(run_dir: Path) -> None:
    missing = command(str(run_dir), "--check")
    assert isinstance(missing.exception, HubtlError)
    assert "is missing" in str(missing.exception)
    assert not (run_dir / "README.md").exists()
    assert command(str(run_dir), "--repo", "me/m").exit_code == 0
    readme = run_dir / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "\n## Mine\n", encoding="utf-8")
    assert command(str(run_dir), "--check").exit_code == 0
    records.negative().save(run_dir)
    drift = command(str(run_dir), "--check")
    assert isinstance(drift.exception, HubtlError)
    assert "drifts" in str(drift.exception)
    assert drift.exception.hint == f"hubtl card {run_dir}"
    printed = command(str(run_dir), "--print").stdout
    assert "negative transfer" in printed
    assert "negative transfer" not in readme.read_text(encoding="utf-8")
    assert command(str(run_dir)).exit_code == 0
    assert readme.read_text(encoding="utf-8") == printed
    assert "## Mine" in printed
    assert "hf-hub:me/m" in printed
    assert sorted(p.name for p in run_dir.iterdir()) == ["README.md", "record.json"]


def test_card_command_names_a_folder_that_holds_no_run_and_metadata_that_the_hub_refuses(run_dir: Path) -> None:
    (run_dir / "empty").mkdir()
    assert "has no record.json" in str(command(str(run_dir / "empty")).exception)
    (run_dir / "README.md").write_text("---\nlicense: mine\n---\n", encoding="utf-8")
    assert "license is 'mine'" in str(command(str(run_dir)).exception)
    (run_dir / "record.json").write_text("{", encoding="utf-8")
    refused = command(str(run_dir)).exception
    assert isinstance(refused, HubtlError)
    assert "cannot be read" in str(refused)


def test_rendering_a_card_imports_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; from tests import records; from hubtl.card import render, metadata, plots; import hubtl.cli.card\n"
        "metadata.problems(metadata.of(records.gain())); render(records.gain())\n"
        "heavy = {'torch', 'matplotlib', 'sklearn', 'timm', 'transformers', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ.copy(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_metadata_is_readable_yaml_with_words_kept_in_one_line() -> None:
    front = render(records.gain()).split("---\n")[1]
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    assert "&id" not in front
    assert "!!" not in front


@pytest.mark.parametrize(
    "name", [*NASTY, "snake_case_name", "_a_", "__init__", "AT&T", "&lt;", "www.x.org://a", "~~no~~", "1*2*3"]
)
def test_a_markdown_reader_shows_exactly_the_name(name: str) -> None:
    def shown(source: str) -> str:
        row = MarkdownIt("gfm-like", {"linkify": False}).render(f"| a |\n|:--|\n| {source} |\n")
        found = re.search(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        assert found is not None, row
        assert len(re.findall("<td", row)) == 1
        text = found.group(1).removeprefix("<code>").removesuffix("</code>")
        assert "<" not in text, row
        return html.unescape(text)

    assert shown(wording.md(name)) == " ".join(name.replace("\n", r"\n").split())
    assert shown(wording.code(name)) == " ".join(name.replace("\n", r"\n").split())


def test_every_card_is_markdown_with_the_tables_and_headings_that_were_meant() -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(body(render(records.gain())))
    assert page.count("<table>") == len(tables(render(records.gain())))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "Use it",
        "Data",
        "Results on the target",
        "Forgetting on the source",
        "Protocol",
        "Reproduce",
        "Limits",
        "Citation",
    ]
    assert page.count("<h1>") == 1
    assert page.count("<img ") == 4


# several modalities


def test_a_card_lists_the_encoders_and_what_each_subset_of_the_modalities_is_worth():
    text = render(records.several(), repo="me/three")
    assert "# image + text + audio model adapted to" in text
    rows = tables(text)
    assert any(
        "me/eyes" in row and "| timm |" in row and "| mit | top-2 | `encoders/image` |" in row for row in flat(rows)
    )
    assert any(f"tree/{records.SHA}" in row and "`encoders/text`" in row for row in flat(rows))
    assert any("`ears`, random initialisation" in row and "| unknown | freeze |" in row for row in flat(rows))
    assert "Their fusion: fusion bottleneck, width 128" in text
    assert "seconds" not in text.split("Their fusion:")[1].split("\n")[0]
    assert "### Missing and corrupted modalities" in text
    assert "| without image | 30.0% | 50.0% | +20.0 |" in text
    assert "| audio corrupted, severity 3 | 50.0% | 70.0% | +20.0 |" in text
    assert "| as they are |" in text
    assert "pip install hubtl hubtl-multimodal" in text
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert program is not None
    assert 'hubtl.load("me/three")' in program.group(1)
    assert '{"image": "image.jpg", "text": "What it says.", "audio": "sound.wav"}' in program.group(1)


def test_the_metadata_of_several_encoders_names_each_base_model_once():
    found = metadata.of(records.several(), repo="me/three")
    assert found["base_model"] == ["me/eyes", "me/words"]
    assert found["library_name"] == "hubtl"
    assert "pipeline_tag" not in found
    assert {"image", "text", "audio", "multimodal-classification"} <= set(found["tags"])
    assert found["model-index"][0]["results"][0]["task"]["type"] == "multimodal-classification"
    record = records.several()
    record.model.parts = {"text": record.model.parts["text"]}
    one = metadata.of(record)
    assert (one["pipeline_tag"], one["base_model"]) == ("text-classification", "me/words")
    record.model.base_model = "me/three"  # it went on from a saved one
    assert metadata.of(record)["base_model"] == "me/three"
    assert "me/three" in render(record).split("## Use it")[0]


def test_a_card_without_subsets_has_no_section_for_them():
    assert "missing or corrupted" not in render(records.gain())


def flat(found: list[list[str]]) -> list[str]:
    return [line for table in found for line in table]


def test_the_distance_of_the_domains_stands_under_both_models() -> None:
    record = records.gain()
    assert "Domain shift" not in render(record)
    assert record.source_only is not None
    assert record.adapted is not None
    record.source_only.shift = Shift(a_distance=1.9, mmd=0.7, class_prior=0.4, rows=[512, 300])
    record.adapted.shift = Shift(a_distance=None, mmd=-0.001, class_prior=0.125, rows=[512, 300])
    text = render(record)
    assert_tables_are_well_formed(text)
    assert "| 1.900 | not measured |" in text
    assert "| 0.700 | −0.001 |" in text
    assert "On 512 rows of the source and 300 rows of the target." in text


def test_a_difference_comes_with_its_interval() -> None:
    record = records.gain()
    record.difference = Difference(low=-0.012, high=0.034, resamples=2000)
    assert "| −1.2 to +3.4 points |" in render(record)


def test_temperatures_are_named_with_the_rows_that_they_were_fitted_on() -> None:
    record = records.gain()
    record.calibration = Calibration(
        rows=400, temperatures={"fused": 1.5, "text": 4.25}, loss_before=0.512, loss_after=0.498
    )
    text = render(record)
    assert "divided by 1.50 (fused), 4.25 (text), fitted on 400 labelled rows" in text
    assert "from 0.512 to 0.498" in text


@pytest.mark.parametrize(
    ("modality", "given", "shown", "cls"),
    [
        ("text", {"max_length": 1024}, "a text, of which the first 1,024 tokens are read", "SequenceClassification"),
        (
            "audio",
            {"rate": 16000, "seconds": 2.5},
            "one channel at 16,000 Hz, of which the first 2.5 seconds",
            "AudioClassification",
        ),
    ],
)
def test_a_card_of_texts_or_recordings_speaks_of_them(modality, given, shown, cls):
    record = records.gain()
    facts = {"library": "transformers", "architecture": "bert", "input": given, "modalities": [modality], "parts": {}}
    record.model = record.model.model_copy(update=facts)
    text = render(record, repo="me/it")
    assert shown in text
    assert f'AutoModelFor{cls}.from_pretrained("me/it")' in text
    assert "AutoModelForImageClassification" not in text
    said = document.parse(text).metadata
    assert (said["pipeline_tag"], said["library_name"]) == (f"{modality}-classification", "transformers")


@pytest.mark.parametrize(("pooling", "needed"), [("own", False), ("mean", True)])
def test_a_card_of_texts_says_whether_code_beside_the_weights_is_run(pooling, needed):
    record = records.gain()
    given = {"max_length": 128, "pooling": pooling}
    facts = {"library": "transformers", "architecture": "bert", "input": given, "modalities": ["text"], "parts": {}}
    record.model = record.model.model_copy(update=facts)
    text = render(record, repo="me/it")
    assert text.count('from_pretrained("me/it", trust_remote_code=True)') == (2 if needed else 0)
    assert ("modeling_pooled.py" in text) == needed


def numbers(*, tried: str | None = None) -> RunRecord:
    """A regression of one number in degrees, that dann erred less with; ``tried``: what was dropped for source-only."""

    def erred(mae: float, source: float) -> Evaluation:
        figures = RegressionFigures(unit="degrees", mae=mae, r2=0.5)
        scores = {"dev": -0.02, "source-score": 0.9}
        return Evaluation(n=300, figures=figures, source=source, scores=scores, primary=figures.primary())

    record = records.gain()
    record.task, record.outputs = "regression", Outputs(names=["angle"], details={"unit": ["degrees"]})
    record.source_only, record.adapted, record.strategy = erred(9.0, 4.0), erred(8.0, 3.0), "dann"
    record.strategy_reason, record.difference, record.warnings = "it erred least", None, []
    record.model.library, record.native = "hubtl", False
    record.plots = ["plots/features.png"]
    if tried:
        said = "adapting took the MAE on the source from 2 to 4 degrees"
        record.verdict = Verdict(answer="source-only", reason=said, rail=True, tried=tried, dropped=record.adapted)
        record.adapted, record.strategy = record.source_only, "source-only"
    return record


def test_a_card_of_numbers_says_what_is_predicted_and_what_its_scores_are():
    text = render(numbers())
    assert "It predicts `angle` (degrees) from an image." in text
    assert 'answer = model.predict(["image.jpg"])[0]\nprint(answer.values, answer.interval)' in text
    assert "dev: minus the loss on the target, as estimated from the source; source-score: R² on the source" in text
    assert "## On the source, before and after" in text
    assert "*Features of both domains.*" in text
    worse = numbers()
    worse.adapted.source = 5.0
    assert "## Forgetting on the source" in render(worse)


def test_the_interval_of_the_difference_says_what_can_be_chance():
    record = numbers()
    for low, high, said in ((-1.0, 0.5, True), (-1.5, -0.5, False)):
        record.difference = Difference(low=low, high=high, resamples=100)
        assert ("interval of the difference in MAE contains 0" in render(record)) == said
        assert "overlap" not in render(record)


def test_source_only_is_kept_in_place_of_what_hubtl_had_picked():
    text = render(numbers(tried="dann"))
    assert "Kept in place of `dann`, which hubtl had picked: it erred least." in text
    assert "Picked by hubtl" not in text
    assert "because a guard rail that reads no target labels rejected it." in text
    assert "Adapted or source-only, without target labels: **source-only**. Adapting took the MAE" in text
    assert "*Features of both domains under source-only.*" in text
    record = numbers(tried="dann")
    record.verdict = Verdict.model_validate(
        {"adapted": False, "reason": "dev for source-only", "scores": {"dev": [0, -1]}, "tried": "dann"}
    )
    text = render(record)
    assert "because scores that read no target labels did not support it." in text
    assert "Scores voted, as an earlier version let them: dev for source-only." in text


def test_an_undecided_verdict_says_how_many_labels_decide():
    record = records.gain()
    record.verdict = Verdict(answer="undecided", reason="no label was read", rows=20, disagreement=0.314)
    text = render(record)
    assert "without target labels: **undecided, label 20 rows to decide**. No label was read." in text
    assert "The two models answer differently on 31% of the target rows that were tried." in text


def test_two_models_of_numbers_differ_by_an_amount():
    record = numbers(tried="dann")
    record.verdict = Verdict(answer="undecided", reason="no label was read", rows=20, disagreement=1.0, gap="0.42 kg")
    text = render(record)
    assert "The two models' answers to the target rows that were tried differ by 0.42 kg on average." in text
    assert "answer differently" not in text
    record.verdict.gap = None  # a record of an earlier version: that two numbers are not equal says nothing
    assert "answer differently" not in render(record)


def test_a_chosen_checkpoint_beside_the_last_weights_of_source_only_is_said() -> None:
    record = records.gain()
    assert record.baseline_training is not None
    record.training.steps = record.baseline_training.steps = 400
    record.selection.step = 400
    assert "same number of updates for both. The adapted" not in render(record)
    assert "Same backbone, same number of updates for both." in render(record)
    record.selection.step = 160
    said = " ".join(render(record).split())
    assert "The adapted model is the checkpoint after update 160, and source-only its last one" in said
