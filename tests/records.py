"""Records as runs leave them, for tests: one of each kind."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hubtl.record import (
    Candidate,
    DomainFacts,
    Evaluation,
    LabelSets,
    ModelFacts,
    PhaseFacts,
    RunRecord,
    Selection,
    SubsetScore,
    Training,
)
from hubtl.tasks.classification import ClassScore

CLASSES = ["back_pack", "bike", "calculator", "desk lamp", "mug"]
SHA = "0123456789abcdef0123456789abcdef01234567"


def evaluation(
    *,
    right: float = 0.8,
    n: int = 40,
    classes: list[str] | None = None,
    source_accuracy: float | None = 0.9,
    seed: int = 0,
) -> Evaluation:
    """Figures that agree with each other: all of them follow from a confusion matrix of ``n`` rows a class."""
    names = classes or CLASSES
    draw, c = np.random.default_rng(seed), len(names)
    matrix = np.zeros((c, c), dtype=int)
    for row in range(c):
        share = np.full(c, (1 - right) / (c - 1))
        share[row] = right
        matrix[row] = draw.multinomial(n, share)
    return from_confusion(matrix, names, source_accuracy=source_accuracy)


def from_confusion(
    matrix: np.ndarray, names: list[str], *, source_accuracy: float | None = 0.9, unknown: int | None = None
) -> Evaluation:
    rows, columns, hits = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    recall, precision = hits / np.maximum(rows, 1), hits / np.maximum(columns, 1)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    met = rows > 0
    accuracy = float(hits.sum() / rows.sum())
    open_set: dict[str, float] = {}
    if unknown is not None:
        one, other = float(np.delete(recall, unknown).mean()), float(recall[unknown])
        hos = 2 * one * other / (one + other)
        open_set = {"known_recall": one, "unknown_recall": other, "hos": hos}
    return Evaluation(
        **open_set,
        n=int(rows.sum()),
        accuracy=accuracy,
        balanced_accuracy=float(recall[met].mean()),
        macro_f1=float(f1[met].mean()),
        ece=0.3 * (1 - accuracy),
        per_class=[
            ClassScore(
                name=name,
                n=int(rows[i]),
                recall=float(recall[i]) if rows[i] else None,
                precision=float(precision[i]) if columns[i] else None,
                f1=float(f1[i]) if rows[i] else None,
            )
            for i, name in enumerate(names)
        ],
        confusion=matrix.tolist(),
        predicted_counts=columns.tolist(),
        scores={"infomax": 0.5 + accuracy, "entropy": accuracy - 1.2, "source-accuracy": 0.9},
        source_accuracy=source_accuracy,
    )


def curves(steps: int = 200) -> list[dict[str, float]]:
    """Losses at every tenth step, scores at every fifth part."""
    found = []
    for step in range(10, steps + 1, 10):
        point = {"step": float(step), "task": 1.6 * 0.98**step + 0.05, "domain": 0.69 - 0.05 * np.sin(step / 20)}
        if step % (steps // 5) == 0:
            point |= {"infomax": 0.6 + step / steps, "source-accuracy": 0.7 + 0.2 * step / steps}
        found.append(point)
    return found


def gain(**changes: Any) -> RunRecord:
    """Adaptation that helped: a timm model and datasets on the Hub."""
    facts: dict[str, Any] = {
        "status": "finished",
        "created": "2026-11-24",
        "command": "hubtl adapt --model resnet50 --source-dataset office/amazon --target-dataset office/webcam",
        "recipe": {"model": {"name": "resnet50"}, "run": {"seed": 7, "steps": 200}},
        "strategy": "dann",
        "strategy_title": "DANN: features that a domain critic cannot tell apart.",
        "strategy_options": {"weight": 1.0, "ramp_steps": 1000.0},
        "strategy_version": "0.1.0",
        "paper": "arXiv:1505.07818",
        "model": ModelFacts(
            name="resnet50",
            library="timm",
            architecture="resnet50",
            pretrained=True,
            base_model="timm/resnet50.a1_in1k",
            revision=SHA,
            weights="resnet50.a1_in1k",
            license="apache-2.0",
            parameters=23_508_032,
            width=2048,
            input={
                "size": 224,
                "channels": 3,
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
                "crop_pct": 0.95,
            },
            trained_parameters=23_508_032,
        ),
        "source": DomainFacts(
            dataset="office/amazon",
            hub_id="office/amazon",
            revision=SHA,
            license="mit",
            split="train",
            eval_split="test",
            rows=2400,
            eval_rows=417,
            label_counts=dict.fromkeys(CLASSES, 480),
            columns={"image": "image", "label": "label"},
        ),
        "target": DomainFacts(
            dataset="office/webcam",
            hub_id="office/webcam",
            config="plain",
            revision=SHA[::-1],
            split="train",
            eval_split="test",
            rows=595,
            eval_rows=200,
            columns={"image": "img", "label": "category"},
            skipped=["broken_004.jpg"],
        ),
        "classes": CLASSES,
        "label_sets": LabelSets(setting="closed", shared=CLASSES),
        "training": Training(
            phases=[
                PhaseFacts(
                    name="adapt",
                    sees=["source", "target"],
                    learns={"backbone": 23_508_032, "head": 1285, "critic": 1_000_000},
                    steps=200,
                    lr={"backbone": 0.001, "head": 0.01, "critic": 0.01},
                )
            ],
            steps=200,
            seconds=85.3,
            curves=curves(),
        ),
        "baseline_training": Training(steps=200, seconds=41.0, curves=curves()),
        "selection": Selection(rule="last", step=200),
        "source_only": evaluation(right=0.55, source_accuracy=0.93, seed=1),
        "adapted": evaluation(right=0.85, source_accuracy=0.912, seed=2),
        "plots": ["curves.png", "confusion.png", "per_class.png", "features.png"],
        "versions": {"python": "3.11.9", "hubtl": "0.1.0", "torch": "2.13.0", "timm": "1.0.31"},
        "hardware": {"device": "CPU (x86_64)", "cores": 2, "threads": 1},
    }
    return RunRecord(**(facts | changes))


def negative() -> RunRecord:
    """Adaptation that did harm, with the doubts that the run wrote down."""
    return gain(
        source_only=evaluation(right=0.7, seed=3),
        adapted=evaluation(right=0.35, source_accuracy=0.71, seed=4),
        warnings=[
            "collapse: only 2 of 5 classes are ever predicted",
            "no label-free evidence says that the adapted model is better than source-only (infomax 0.8 against 1.2)",
            "negative transfer: the adapted model is 33.5 points worse",
        ],
    )


def transfer() -> RunRecord:
    """Transfer learning with a transformers model. Its folder is not on the Hub."""
    record = gain(
        setting="transfer", strategy="finetune", paper=None, source=None, source_only=None, baseline_training=None
    )
    record.model = record.model.model_copy(
        update={
            "library": "transformers",
            "base_model": "google/vit-base-patch16-224",
            "architecture": "vit",
            "weights": None,
        }
    )
    record.target = record.target.model_copy(
        update={"dataset": "webcam", "hub_id": None, "revision": None, "config": None}
    )
    record.target_labels = "training"
    assert record.adapted is not None
    record.adapted.source = None
    return record


def unlabelled() -> RunRecord:
    """Adaptation to a target of which nobody knows the labels."""
    record = gain()
    assert record.source_only is not None
    assert record.adapted is not None
    for name in ("source_only", "adapted"):
        known: Evaluation = getattr(record, name)
        blind = Evaluation(
            n=known.n,
            predicted_counts=known.figures.predicted_counts,
            scores=known.scores,
            source=known.source,
        )
        setattr(record, name, blind)
    record.target = record.target.model_copy(update={"eval_labelled": False, "labelled": False})
    record.plots = ["curves.png", "features.png"]
    return record


def oracle() -> RunRecord:
    """Adaptation whose checkpoint was chosen with target labels."""
    selection = Selection(
        rule="target-accuracy",
        oracle=True,
        step=160,
        candidates=[
            Candidate(step=160, scores={"score": 0.88}, merit=0.88),
            Candidate(step=200, scores={"score": 0.85}, merit=0.85),
        ],
    )
    return gain(selection=selection, target_labels="selection")


def foreign() -> RunRecord:
    """A small model from random weights, which only hubtl loads; open-partial classes."""
    record = gain(native=False, not_native_because="its bottleneck has a non-linearity")
    record.model = ModelFacts(
        name="lenet",
        library="hubtl",
        architecture="lenet",
        pretrained=False,
        parameters=61_000,
        width=500,
        input={"size": 28, "channels": 1, "mean": [0.5], "std": [0.5], "interpolation": "bilinear"},
        tuner="full",
        trained_parameters=61_000,
        notes=["three-channel images are made grey"],
    )
    record.source = DomainFacts(
        dataset="builtin:mnist", license="cc-by-sa-3.0", split="train", eval_split="test", rows=900, eval_rows=100
    )
    record.target = DomainFacts(
        dataset="builtin:digits", domain="scans", license="cc-by-4.0", split="train", rows=500, eval_rows=500
    )
    record.label_sets = LabelSets(
        setting="open-partial", shared=CLASSES[:3], source_only=CLASSES[3:], target_only=["stapler"]
    )
    return record


def open_set() -> RunRecord:
    """Adaptation to a target with classes that the source lacks. The method has an output for them."""
    names = [*CLASSES[:4], "unknown"]
    before = np.array([[30, 5, 5, 0, 0], [4, 36, 0, 0, 0], [0, 10, 30, 0, 0], [0, 0, 0, 40, 0], [30, 20, 10, 20, 0]])
    after = np.array([[28, 4, 4, 0, 4], [4, 34, 0, 0, 2], [0, 2, 36, 0, 2], [0, 0, 0, 38, 2], [8, 4, 4, 4, 60]])
    record = gain(
        strategy="osbp",
        paper="arXiv:1804.10427",
        classes=names,
        unknown="unknown",
        source_only=from_confusion(before, names, unknown=4),
        adapted=from_confusion(after, names, unknown=4),
    )
    record.label_sets = LabelSets(setting="open", shared=names[:4], target_only=["mug", "stapler"])
    return record


def several() -> RunRecord:
    """Adaptation of a model of three modalities. Figures are of rows that lack one or have one spoiled."""
    parts = {
        "image": {"name": "me/eyes", "library": "timm", "base_model": "me/eyes", "license": "mit", "tune": "top-2"},
        "text": {"name": "me/words@main", "library": "transformers", "base_model": "me/words", "revision": SHA},
        "audio": {"name": "ears", "library": "transformers", "pretrained": False, "tune": "freeze"},
    }
    usual = {"architecture": "any", "pretrained": True, "base_model": None, "revision": None, "license": None}
    record = gain(native=False, not_native_because="its modalities meet in a fusion that no other library has")
    record.model = ModelFacts(
        name="image=me/eyes,text=me/words@main,audio=ears",
        library="hubtl",
        architecture="multimodal",
        pretrained=True,
        parameters=1_000_000,
        width=515,
        input={"options": {"fusion": "bottleneck", "width": 128, "seconds": None}, "encoders": {}},
        trained_parameters=900_000,
        parts={m: usual | {"tune": "full"} | part for m, part in parts.items()},
    )
    names = ["without image", "text only", "audio corrupted, severity 3"]
    for evaluated, shift in ((record.source_only, 0.0), (record.adapted, 0.2)):
        assert evaluated is not None
        evaluated.subsets = [
            SubsetScore(name=name, n=200, primary=0.3 + shift + i / 10, balanced_accuracy=0.3)
            for i, name in enumerate(names)
        ]
    return record


def source_only() -> RunRecord:
    """A run that does not adapt: its model is the baseline."""
    return gain(strategy="source-only", paper=None, source_only=None, baseline_training=None)


def unfinished() -> RunRecord:
    """A run before its training: nothing is measured yet."""
    model = ModelFacts(name="resnet50", library="timm", architecture="resnet50", pretrained=True)
    return RunRecord(
        strategy="mcc", model=model, target=DomainFacts(dataset="webcam"), source=DomainFacts(dataset="amazon")
    )


ALL: dict[str, Callable[[], RunRecord]] = {
    "gain": gain,
    "negative": negative,
    "transfer": transfer,
    "unlabelled": unlabelled,
    "oracle": oracle,
    "foreign": foreign,
    "open_set": open_set,
    "several": several,
    "source_only": source_only,
    "unfinished": unfinished,
}
