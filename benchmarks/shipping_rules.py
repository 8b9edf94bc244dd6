"""Apply each rule of shipping to the runs that ``benchmarks/shipping.py`` kept. Nothing is trained.

    python benchmarks/shipping_rules.py LOGITS

Writes ``results/shipping.jsonl``: one line for each adapted run (``kind`` run), and one for the runs of all methods of a
case together (``kind`` group): of each seed and of both, on each backbone and on both. Accuracies are in percent, of the
target's held-out rows (digits), or of all of its rows where those are few (the others): no run read a label of either.
``benchmarks/tables.py`` makes tables.
"""

import argparse
import itertools
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from scipy.stats import rankdata
from vote import vote

from hubtl import plugins
from hubtl.data.sealed import SEALING
from hubtl.judging.asking import MOST, Tally, decided
from hubtl.judging.judge import voters_on
from hubtl.judging.validators import Evidence, measured, rule_of
from hubtl.tasks.base import FLOOR
from hubtl.tasks.classification import Classification
from hubtl.tasks.classification.bound import bound
from hubtl.tasks.classification.estimate import estimate, gauge

RESULTS = Path(__file__).parent / "results" / "shipping.jsonl"
HEDGES = (0.4, 0.5, 0.6, 0.7, 0.8)
ROWWISE = (0.5, 0.6, 0.7)
SEEDS = 200  # of simulated labelling
HARM = 5.0  # points that a planted model loses at least
METHODS = ("source-only", "mcc", "infomax", "coral", "shot")
TRIED = {True: (*METHODS, "mcc+adamatch", "cdan"), False: (*METHODS, "bnm")}  # on digits, elsewhere
Run = dict[str, Any]


def opened(path: Path) -> Run:
    """One kept run, its rows in the dataset's order."""
    with np.load(path) as held:
        run: Run = {name: held[name] for name in held.files}
    run |= json.loads(str(run.pop("facts")))
    if run["family"] == "digits":  # of tens of thousands of rows some were kept, others for each seed
        run["z"], run["y"] = run["eval"], run["eval_labels"]
        return run
    order = np.random.default_rng([SEALING, run["seed"]]).permutation(len(run["train"]))
    lay = np.argsort(order)
    run["z"] = np.concatenate([run["eval"], run["train"][lay]])
    run["y"] = np.concatenate([run["eval_labels"], run["train_labels"][lay]])
    return run


def accuracy(z: np.ndarray, run: Run) -> float:
    known = run["y"] >= 0
    return round(100 * float((z[known].argmax(axis=1) == run["y"][known]).mean()), 2)


def scaled(runs: list[Run]) -> np.ndarray:
    """The mean of scaled logits. Each is divided by its standard deviation over target training rows."""
    return np.mean([run["z"] / run["train"].std() for run in runs], axis=0)


def rowwise(runs: list[Run]) -> np.ndarray:
    """The mean of logits whose rows are standardised: no row of a model is surer than another."""
    centred = [run["z"] - run["z"].mean(axis=1, keepdims=True) for run in runs]
    return np.mean([z / np.maximum(z.std(axis=1, keepdims=True), 1e-9) for z in centred], axis=0)


def known_source(run: Run) -> float:
    """How far a model gets from chance to perfect on the source. The rows are not those that it learnt from."""
    known = run["source_labels"] >= 0
    chance = 1 / run["z"].shape[1]
    right = float((run["source"][known].argmax(axis=1) == run["source_labels"][known]).mean())
    return round((right - chance) / (1 - chance), 3)


def likely(runs: list[Run]) -> np.ndarray:
    return np.mean([softmax(run["z"], axis=1) for run in runs], axis=0)


def of_run(run: Run, base: Run) -> dict[str, Any]:
    """Return what each rule ships of one method and source-only. Facts on the two come with it."""
    cls = plugins.load("strategies", run["strategy"])
    guard = "source-accuracy"
    lost = not cls.judging.forgets_source and run["scores"][guard] < base["scores"][guard] - FLOOR
    rail = bool(run["collapsed"]) or lost
    voted = not rail and vote(base["scores"], run["scores"], voters_on(cls, Classification), cls.judging.improves)[0]
    alone, adapted = accuracy(base["z"], base), accuracy(run["z"], run)
    return {
        "benchmark": "shipping",
        "kind": "run",
        **{name: run[name] for name in ("family", "case", "backbone", "seed", "strategy", "steps")},
        "rows": int((run["y"] >= 0).sum()),
        "source_only": alone,
        "always": adapted,
        "rail": rail,
        "vote": adapted if voted else alone,
        "mean softmax": accuracy(likely([run, base]), run),
        **{f"hedge {a}": accuracy(a * scaled([run]) + (1 - a) * scaled([base]), run) for a in HEDGES},
        "known": known_source(base),
        "disagree": round(float((run["z"].argmax(axis=1) != base["z"].argmax(axis=1)).mean()), 4),
        "estimate": (told := estimates(run, base)),
        "bound": bounded(run, base, told["source-only"] / 100),
        "checkpoints": checkpoints(run),
        "labels": labelled(run, base, adapted - alone),
    }


def estimates(run: Run, base: Run) -> dict[str, float]:
    """Estimated accuracy of source-only and of the adapted model.

    The latter is estimated by itself and beside source-only.
    """
    kept = [(one["z"], gauge(one["source"], one["source_labels"]) or {}) for one in (run, base)]
    found = {"source-only": kept[1:], "adapted": kept[:1], "adapted, beside source-only": kept}
    return {name: round(100 * getattr(estimate(models), "value", float("nan")), 2) for name, models in found.items()}


def bounded(run: Run, base: Run, beat: float) -> dict[str, float | None]:
    """The lower bound on accuracy of equal rows, and its cost; None where it cannot be above the estimate ``beat``."""
    began = time.process_time()
    source, labels, target = (torch.from_numpy(run[name]) for name in ("source", "source_labels", "z"))
    beside = torch.from_numpy(base["source"]).float(), torch.from_numpy(base["z"]).float()
    found = bound(source.float(), labels, target.float(), beside, beat)
    value = None if found is None else round(100 * found.value, 2)
    return {"least": value, "seconds": round(time.process_time() - began, 2)}


def checkpoints(run: Run) -> dict[str, float]:
    """The accuracy of the checkpoint that each rule takes, on held-out rows; the rules read logits on target rows."""
    logits, right = run["checkpoints"].astype(np.float64), 100 * run["checkpoint_accuracy"]
    mean = softmax(logits, axis=2).mean(axis=0)
    scores = {"ensv": [(z.argmax(axis=1) == mean.argmax(axis=1)).mean() for z in logits]}
    for name in ("infomax", "bnm", "snd"):
        rule = rule_of(name)
        scores[name] = [measured(rule, Evidence(step=0, target_logits=torch.from_numpy(z))) or 0.0 for z in logits]
    last = np.arange(len(logits))
    ranks = {name: rankdata(values) for name, values in scores.items()}
    three = ranks["infomax"] + ranks["bnm"] + ranks["snd"]
    merits = {**scores, "ranks": three, "ranks with ensv": three + ranks["ensv"], "last": last}
    found = {name: float(right[len(right) - 1 - int(np.argmax(np.array(m)[::-1]))]) for name, m in merits.items()}
    return {name: round(value, 2) for name, value in (found | {"oracle": float(right.max())}).items()}


def labelled(run: Run, base: Run, gain: float) -> dict[str, float] | None:
    """Simulated labelling, SEEDS times: how often it ships the better model, with how many labels; None: they agree."""
    known = run["y"] >= 0
    one, other, y = run["z"][known].argmax(1), base["z"][known].argmax(1), run["y"][known]
    rows = np.flatnonzero(one != other)
    if not len(rows):
        return None
    said = np.where(one[rows] == y[rows], 1, np.where(other[rows] == y[rows], -1, 0))
    share = len(rows) / len(y)
    right, few, asked, covered, refused, unshipped = [], [], [], [], [], []
    for seed in range(SEEDS):
        order = said[np.random.default_rng(seed).permutation(len(said))]
        tally, answer = settled(order, MOST)
        ships = answer == "adapted" or (answer != "source-only" and tally.better() >= 0.5)
        right.append((gain >= 0) if ships else (gain <= 0))
        asked.append(tally.asked)
        low, _, high = tally.gain(share)
        covered.append(low - 1e-9 <= gain / 100 <= high + 1e-9)
        short, answer = settled(order, 20)
        ships = answer == "adapted" or (answer != "source-only" and short.better() >= 0.5)
        few.append((gain >= 0) if ships else (gain <= 0))
        if gain <= -HARM or gain >= HARM:  # the better model's place taken by the worse: harm of a known size
            planted, answer = settled(order if gain < 0 else -order, 30)
            refused.append(answer == "source-only")
            unshipped.append(answer == "source-only" or (answer != "adapted" and planted.better() < 0.5))
    found = {"right": np.mean(right), "right of 20": np.mean(few), "asked": np.mean(asked), "covered": np.mean(covered)}
    found |= {"refused": np.mean(refused), "not shipped": np.mean(unshipped)} if refused else {}
    return {name: round(float(value), 4) for name, value in found.items()}


def settled(order: np.ndarray, most: int) -> tuple[Tally, str | None]:
    """Ask in this order until it is decided. It also ends when no row is left."""
    wins = losses = neither = 0
    answer = None
    for said in order.tolist():
        wins, losses, neither = wins + (said > 0), losses + (said < 0), neither + (said == 0)
        if answer := decided(Tally(wins, losses, neither), most=most):
            break
    return Tally(wins, losses, neither), answer


def of_group(runs: list[Run], bases: list[Run]) -> dict[str, Any]:
    """Return what is shipped of all methods of a case together. Source-only is its mean over seeds."""
    best = max(base["backbone"] for base in bases)  # of two backbones the larger one
    alone = np.mean([accuracy(base["z"], base) for base in bases if base["backbone"] == best])
    first, probable = runs[0], likely(runs)
    agree = [float((run["z"].argmax(1) == probable.argmax(1)).mean()) for run in runs]
    each = [accuracy(run["z"], run) for run in runs]
    stay = [run for run in runs if not run["collapsed"]] or bases
    plain, mixed, flat, level = scaled(stay), scaled(bases), rowwise(stay), rowwise(bases)
    mcc = [run for run in runs if run["strategy"] == "mcc"]
    return {
        "benchmark": "shipping",
        "kind": "group",
        "family": first["family"],
        "case": first["case"],
        "backbone": "+".join(sorted({run["backbone"] for run in runs})),
        "seeds": sorted({run["seed"] for run in runs}),
        "members": len(runs),
        "known": round(float(np.mean([known_source(base) for base in bases])), 3),
        "source_only": round(float(alone), 2),
        "always mcc": round(float(np.mean([accuracy(run["z"], run) for run in mcc])), 2),
        "mean single method": round(float(np.mean(each)), 2),
        "source-only, mean of z/σ": accuracy(mixed, first),
        "mean softmax": accuracy(probable, first),
        "mean softmax, source-only a member": accuracy(likely([*runs, *bases]), first),
        "mean of z/σ": accuracy(plain, first),
        **{f"mean of z/σ, hedge {a}": accuracy(a * plain + (1 - a) * mixed, first) for a in HEDGES},
        **{f"mean of rows, hedge {a}": accuracy(a * flat + (1 - a) * level, first) for a in ROWWISE},
        "EnsV's pick": each[int(np.argmax(agree))],
        "oracle": max(each),
        "mcc, mean softmax": accuracy(likely(mcc), first),
    }


def together(runs: list[Run]) -> list[dict[str, Any]]:
    """A line for each ensemble of a case: of each seed and of all, on each backbone and on all."""
    seeds, backbones = sorted({run["seed"] for run in runs}), sorted({run["backbone"] for run in runs})
    found = []
    for some, parts in itertools.product(
        [*([one] for one in seeds), seeds], [*([one] for one in backbones), backbones]
    ):
        own = [run for run in runs if run["seed"] in some and run["backbone"] in parts]
        line = of_group(
            [run for run in own if run["strategy"] != "source-only"],
            [run for run in own if run["strategy"] == "source-only"],
        )
        if line not in found:  # all backbones of a case may be one
            found.append(line)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logits", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    cases: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for path in sorted(args.logits.glob("*.npz")):
        run = opened(path)
        if run["strategy"] not in TRIED[run["family"] == "digits"]:
            continue
        cases[run["family"], run["case"]].append(run)
    lines: list[dict[str, Any]] = []
    for runs in cases.values():
        base = {(run["backbone"], run["seed"]): run for run in runs if run["strategy"] == "source-only"}
        adapted = [run for run in runs if run["strategy"] != "source-only"]
        lines += [of_run(run, base[run["backbone"], run["seed"]]) for run in adapted]
        lines += together(runs)
        print(runs[0]["family"], runs[0]["case"], len(lines), flush=True)
    args.output.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
