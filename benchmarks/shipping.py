"""Runs of several methods, kept with their logits. Rules of what to ship can be tried without training again.

    python benchmarks/shipping.py DATA WEIGHTS --text MINILM --keep LOGITS
    python benchmarks/shipping_rules.py LOGITS

Trains source-only and every method on each case of the families: PACS with two frozen backbones, digits (LeNet
from scratch), reviews (frozen MiniLM) and spoken digits (frozen YAMNet). It keeps, for each run, the logits on source
evaluation rows, target training rows and target evaluation rows, those of ten checkpoints, and the scores of validators,
in LOGITS, a folder outside of the repository; what is there is not trained again. Target labels are in neither training
nor selection; they are kept to score.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from hubtl.backbones.base import Backbone
from hubtl.data.sealed import SEALING, unsealed
from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine
from hubtl.engine.sweep import outputs
from hubtl.judging.judge import fallen, gather, label_free, some
from hubtl.judging.validators.ensemble import Ensemble
from hubtl.recipe.reading import parse
from hubtl.run.features import reads_features, with_features
from hubtl.run.prepare import Prepared, prepare
from hubtl.strategy import Strategy

CHECKPOINTS = 10
ROWS = 4096  # of the target's training rows, spread over them
METHODS = ("mcc", "infomax", "bnm", "coral", "shot")
DOMAINS = ("photo", "art_painting", "cartoon", "sketch")
REVIEWS = ("books", "dvd", "electronics", "kitchen")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo")


@dataclass(frozen=True)
class Case:
    """One pair of domains on one backbone."""

    family: str
    case: str
    backbone: str
    recipe: dict[str, Any]
    methods: tuple[str, ...] = METHODS

    def place(self, folder: Path, seed: int, strategy: str) -> Path:
        return folder / f"{self.family}+{self.case}+{self.backbone}+{seed}+{strategy}.npz"


def pacs(args: argparse.Namespace) -> Iterator[Case]:
    """PACS at 128 px: the head on a frozen MobileNetV2, of two widths."""
    for width in ("mobilenetv2_035.keras_in1k_features", "mobilenetv2_100.tfslim_in1k"):
        ring = [(DOMAINS[i], DOMAINS[(i + step) % 4]) for step in (1, 3, 2) for i in range(4)]  # others last
        for source, target in ring:
            recipe = {
                "source": str(args.data / "pacs" / source),
                "target": str(args.data / "pacs" / target),
                "model": {"name": str(args.weights / width), "image_size": 128},
                "tuner": "head",
                "run": {"steps": 300, "batch_size": 64},
            }
            yield Case("pacs", f"{source}-{target}", width.split(".")[0], recipe)


def digits(args: argparse.Namespace) -> Iterator[Case]:
    """MNIST and USPS, a LeNet from scratch."""
    for (source, target), rate in {("mnist", "usps"): 0.01, ("usps", "mnist"): 0.1}.items():
        recipe = {
            "source": str(args.data / "digits" / source),
            "target": {"dataset": str(args.data / "digits" / target), "eval_split": "test"},
            "model": {"name": "lenet", "pretrained": False},
            "optim": {"lr": rate, "schedule": "inverse-decay"},
            "run": {"steps": 800, "batch_size": 64},
        }
        yield Case(
            "digits", f"{source}-{target}", "lenet", recipe, ("mcc", "infomax", "coral", "mcc+adamatch", "shot", "cdan")
        )


def reviews(args: argparse.Namespace) -> Iterator[Case]:
    """Reviews of four kinds of goods, good or bad: the head on a frozen MiniLM."""
    for source, target in itertools.permutations(REVIEWS, 2):
        recipe = {
            "source": str(args.data / "sentiment" / source),
            "target": {"dataset": str(args.data / "sentiment" / target), "eval_split": "test"},
            "model": {"name": f"transformers:{args.text}", "options": {"max_length": 64}},
            "tuner": "head",
            "run": {"steps": 200, "batch_size": 64},
        }
        yield Case("reviews", f"{source}-{target}", "minilm", recipe)


def spoken(args: argparse.Namespace) -> Iterator[Case]:
    """Digits that four speakers say, then a fifth: the head on a frozen YAMNet."""
    together = args.keep / "fsdd"
    for split in ("train", "test"):
        together.mkdir(exist_ok=True)
        if not (path := together / f"{split}.parquet").exists():
            parts = [pq.read_table(args.data / "fsdd" / one / f"{split}-00000-of-00001.parquet") for one in SPEAKERS]
            pq.write_table(pa.concat_tables(parts), path)
    for target in SPEAKERS:
        recipe = {
            "source": {"dataset": str(together), "domain": [one for one in SPEAKERS if one != target]},
            "target": {"dataset": str(together), "domain": target, "eval_split": "test"},
            "data": {"domain_column": "speaker"},
            "model": {
                "name": f"audio={args.weights / 'mobilenetv1_100.yamnet_audioset'}",
                "options": {"audio_tune": "freeze", "channels": 1, "seconds": 0.96, "fusion": "late"},
            },
            "tuner": "head",
            "run": {"steps": 300, "batch_size": 64},
        }
        yield Case("spoken", f"others-{target}", "yamnet", recipe)


FAMILIES = {"pacs": pacs, "digits": digits, "reviews": reviews, "spoken": spoken}


class Cached(nn.Module):
    """Stands for a frozen backbone whose features come from the cache: every run is spared copies of its weights."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.info = backbone.info

    def frozen(self) -> list[nn.Parameter]:
        return []


def ready(case: Case, strategy: str, seed: int) -> Prepared:
    """A run that is ready to start."""
    steps = case.recipe["run"]["steps"]
    run = {**case.recipe["run"], "seed": seed, "evaluate_every": steps // CHECKPOINTS, "baseline": False}
    recipe = parse({**case.recipe, "strategy": strategy, "run": run})
    prepared = with_features(prepare(recipe), make_accelerator(recipe.run, None))
    if reads_features(prepared):
        return replace(prepared, backbone=cast(Any, Cached(prepared.backbone)))
    return prepared


def train(case: Case, prepared: Prepared, strategy: str, seed: int, truth: np.ndarray) -> dict[str, Any]:
    """One run: what is kept of it."""
    began = time.monotonic()
    accelerator = make_accelerator(prepared.recipe.run, None)
    streams, task, steps = prepared.streams, prepared.task, prepared.recipe.run.steps
    labels = unsealed(streams.target_eval_labels)
    passing: list[np.ndarray] = []
    right: list[float] = []
    rows = spread(len(streams.target_plain), ROWS)

    def judge(trained: Strategy, step: int) -> dict[str, float]:
        model, few = trained.deployed(), some(len(streams.target_plain))
        passing.append(outputs(model, streams.target_plain, accelerator, rows=few).logits.numpy())
        answered = outputs(model, streams.target_eval, accelerator).logits
        right.append(task.evaluation(answered, labels).value or 0.0)
        return {}

    built = prepared.build(strategy)
    Engine(accelerator, prepared.recipe.optim, prepared.recipe.run, judge=judge).train(built, streams.train)
    learnt = time.monotonic()
    model = built.deployed()
    evidence = gather(prepared, accelerator, model, steps, Ensemble.reads)
    facts = {
        "family": case.family,
        "case": case.case,
        "backbone": case.backbone,
        "seed": seed,
        "strategy": strategy,
        "steps": steps,
        "collapsed": fallen(evidence, prepared),
        "scores": label_free(evidence, [*task.scores, *task.voters]),
        "classes": task.outputs.names,
    }
    kept = {
        "source": outputs(model, streams.source_eval, accelerator).logits.numpy(),
        "source_labels": streams.source_eval_labels,
        "train": outputs(model, streams.target_plain, accelerator, rows=rows).logits.numpy(),
        "train_labels": truth[rows],
        "eval": outputs(model, streams.target_eval, accelerator).logits.numpy(),
        "eval_labels": labels,
        "checkpoints": np.stack(passing).astype(np.float16),
        "checkpoint_accuracy": np.array(right),
    }
    facts["seconds"] = [round(learnt - began, 1), round(time.monotonic() - learnt, 1)]
    return {**kept, "facts": json.dumps(facts)}


def spread(n: int, most: int) -> list[int]:
    """At most so many rows of a set, spread over it."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)).tolist()


def labels_of(case: Case, prepared: Prepared, seed: int) -> np.ndarray:
    """Labels of the target's training rows, in its sealed order: no run reads them."""
    from datasets import load_dataset

    target = case.recipe["target"]
    folder, domain = (target, None) if isinstance(target, str) else (target["dataset"], target.get("domain"))
    data = load_dataset("parquet", data_dir=folder, split="train")
    if domain is not None:
        column = case.recipe["data"]["domain_column"]
        wanted = data.features[column].str2int(domain)
        data = data.select(np.flatnonzero(np.array(data[column]) == wanted))
    own = data.features["label"].names
    names = [own[label].lower() for label in data["label"]]
    known = {name.lower(): number for number, name in enumerate(prepared.task.outputs.names)}
    labels = np.array([known.get(name, -1) for name in names])
    return labels[np.random.default_rng([SEALING, seed]).permutation(len(labels))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--backbones", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--cases", nargs="+")
    parser.add_argument("--keep", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for family, seed in itertools.product(args.families, args.seeds):
        for case in FAMILIES[family](args):
            if (args.backbones and case.backbone not in args.backbones) or (args.cases and case.case not in args.cases):
                continue
            prepared: Prepared | None = None
            for strategy in ("source-only", *case.methods):
                place = case.place(args.keep, seed, strategy)
                if place.exists():
                    continue
                if prepared is None or "tuner" not in case.recipe:
                    prepared = ready(case, strategy, seed)
                    truth = labels_of(case, prepared, seed)
                kept = train(case, prepared, strategy, seed, truth)
                np.savez(place, **kept)
                right = (kept["eval"].argmax(axis=1) == kept["eval_labels"]).mean()
                print(place.stem, f"{right:.3f}", flush=True)


if __name__ == "__main__":
    main()
