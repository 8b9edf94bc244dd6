"""How well scores without target labels choose a checkpoint: one JSON line per run, with every score of every checkpoint.

    python benchmarks/validators.py DATA --case mnist-usps --strategies coral dann mcc shot
    python benchmarks/validators.py DATA --case photo-sketch --model WEIGHTS --strategies dann mcc

DATA holds folders of parquet files, such as ``mnist`` and ``usps`` (LeNet from scratch, the digits recipe) or domains of
PACS (frozen encoder MODEL, features from the cache). A run is judged ten times by every validator, and its accuracy on
the target's held-out test split is noted beside them: no score reads it. Source-only is trained by the same recipe.
``benchmarks/tables.py`` says for each validator what its choice loses against the best checkpoint (the oracle's), and how
often it is worse than source-only.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from vote import vote

from hubtl import plugins
from hubtl.data.sealed import unsealed
from hubtl.engine.device import make_accelerator
from hubtl.engine.loop import Engine
from hubtl.engine.sweep import outputs
from hubtl.judging.judge import fallen, gather, label_free, voters_on
from hubtl.judging.validators.ensemble import Ensemble
from hubtl.judging.verdict import verdict
from hubtl.recipe.reading import parse
from hubtl.record import Evaluation
from hubtl.run.features import with_features
from hubtl.run.prepare import prepare
from hubtl.strategy import Strategy
from hubtl.tasks.base import FLOOR
from hubtl.tasks.classification import Classification

DIGITS_LR = {"mnist-usps": 0.01, "usps-mnist": 0.1}
CHECKPOINTS = 10


def rules() -> list[str]:
    """Every validator that scores a checkpoint without target labels."""
    every = {name: entry.load()() for name, entry in plugins.entries("validators").items()}
    return [name for name, rule in every.items() if not rule.oracle and name not in ("last", "ensemble")]


def recipe_of(args: argparse.Namespace, strategy: str, seed: int) -> dict[str, Any]:
    source, target = args.case.split("-")
    run = {"steps": args.steps, "seed": seed, "evaluate_every": args.steps // CHECKPOINTS}
    common = {"source": str(args.data / source), "target": {"dataset": str(args.data / target)}, "strategy": strategy}
    if args.case in DIGITS_LR:
        optim = {"lr": DIGITS_LR[args.case], "schedule": "inverse-decay"}
        common["target"] |= {"eval_split": "test"}  # type: ignore[operator]
        return {
            **common,
            "model": {"name": "lenet", "pretrained": False},
            "optim": optim,
            "run": {**run, "batch_size": 64},
        }
    return {**common, "model": args.model, "tuner": "head", "run": run}


def train(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """The checkpoints of one run: scores, whether predictions collapsed, and the accuracy that no score saw."""
    recipe = parse(raw)
    accelerator = make_accelerator(recipe.run, None)
    prepared = with_features(prepare(recipe), accelerator)
    strategy = prepared.build(recipe.strategy.name)
    found: list[dict[str, Any]] = []

    def judge(trained: Strategy, step: int) -> dict[str, float]:
        model = trained.deployed()
        evidence = gather(prepared, accelerator, model, step, Ensemble.reads)
        seen = outputs(model, prepared.streams.target_eval, accelerator)
        figures = prepared.task.evaluation(seen.logits, unsealed(prepared.streams.target_eval_labels))
        found.append(
            {
                "step": step,
                "scores": {k: round(v, 5) for k, v in label_free(evidence, rules()).items()},
                "collapsed": fallen(evidence, prepared) is not None,
                "accuracy": round(100 * (figures.value or 0.0), 2),
            }
        )
        return {}

    Engine(accelerator, prepared.recipe.optim, prepared.recipe.run, judge=judge).train(strategy, prepared.streams.train)
    return found


def choices(candidates: list[dict[str, Any]], cls: type[Strategy]) -> dict[str, int]:
    """The place of the checkpoint that each rule takes; ``oracle`` reads what no other may."""
    places = range(len(candidates))
    found = {"last": len(candidates) - 1, "oracle": max(places, key=lambda i: float(candidates[i]["accuracy"]))}
    for name in candidates[0]["scores"]:
        found[name] = max(places, key=lambda i, name=name: float(candidates[i]["scores"][name]))  # type: ignore[misc]
    rule = Ensemble()
    known = [
        {name: c["scores"][name] for name in voters_on(cls, Classification) if name in c["scores"]} for c in candidates
    ]
    merits = rule.merits(known)
    best = max(c["scores"].get("source-accuracy", 0.0) for c in candidates)
    lost = [
        not cls.judging.forgets_source and c["scores"].get("source-accuracy", best) < best - FLOOR for c in candidates
    ]
    found["ensemble"] = max(places, key=lambda i: (not (candidates[i]["collapsed"] or lost[i]), merits[i]))
    return found


def figures(candidate: dict[str, Any]) -> Evaluation:
    """Return the verdict's evidence on a checkpoint."""
    collapse = "collapsed" if candidate["collapsed"] else None
    accuracy = candidate["scores"].get("source-accuracy")
    return Evaluation(n=0, scores=candidate["scores"], source=accuracy, collapse=collapse)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--case", default="mnist-usps", help="SOURCE-TARGET")
    parser.add_argument("--model", help="of a case other than digits: what --model takes, with pretrained weights")
    parser.add_argument("--strategies", nargs="+", default=["coral", "dann", "mcc", "shot"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "validators.jsonl")
    args = parser.parse_args()
    for seed in args.seeds:
        base = train(recipe_of(args, "source-only", seed))[-1]
        for strategy in args.strategies:
            began = time.monotonic()
            candidates = train(recipe_of(args, strategy, seed))
            cls = plugins.load("strategies", strategy)
            chosen = choices(candidates, cls)
            cost = None if cls.judging.forgets_source else Classification().cost
            taken = candidates[chosen["ensemble"]]
            rail = verdict(figures(base), figures(taken), cost=cost)
            voted = vote(base["scores"], taken["scores"], voters_on(cls, Classification), cls.judging.improves)
            adapted, reason = (False, rail.reason) if rail.rail else voted
            line = {
                "benchmark": "validators",
                "case": args.case,
                "strategy": strategy,
                "seed": seed,
                "steps": args.steps,
                "source_only": base,
                "chosen": {rule: candidates[place]["accuracy"] for rule, place in chosen.items()},
                "verdict": {"adapted": adapted, "reason": reason},
                "candidates": candidates,
                "seconds": round(time.monotonic() - began, 1),
            }
            print(json.dumps({k: v for k, v in line.items() if k != "candidates"}), flush=True)
            with args.output.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
