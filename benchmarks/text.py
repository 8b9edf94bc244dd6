"""A frozen sentence-transformers model on reviews of four kinds of goods: source-only beside logistic regression.

    python benchmarks/text.py DATA MODEL [--rows 800] [--seeds 0 1 2] [--pairs books-kitchen …]

DATA holds books, dvd, electronics and kitchen of the Multi-Domain Sentiment Dataset, each a folder of parquet files with the
columns text and label and the splits train and test. MODEL is a folder as sentence-transformers writes it, such as
all-MiniLM-L6-v2. hubtl reads from it how tokens are pooled. scikit-learn's logistic regression, with its defaults, learns
from the same embedding, which the runs leave in the feature cache; before it does, the first rows are compared with what
plain transformers makes of them: the mean over real tokens, to length 1. Both see the same rows, the first 128 tokens, and
learn from no row of the target. One JSON line for each pair.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, load_dataset
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

import hubtl
from hubtl._compat import ensure_torchvision
from hubtl.data import cache

DOMAINS = ("books", "dvd", "electronics", "kitchen")
TOKENS = 128
UNLABELLED = 64  # training rows of a target, of which source-only reads none: only what estimates its figures does
CHECKED = 32  # rows


def drawn(data: Path, domain: str, rows: int, folder: Path) -> dict[str, Dataset]:
    """The splits of a domain, as a source and as a target. The training split has so many rows."""
    found = {}
    for split in ("train", "test"):
        path = str(next((data / domain).glob(f"{split}*.parquet")))
        whole = load_dataset("parquet", data_files=path, split="train").shuffle(seed=0)
        kept = whole.select_columns(["text", "label"])
        found[split] = kept.select(range(min(rows, len(kept)))) if split == "train" else kept
        for role in ("source", "target"):
            (folder / role / domain).mkdir(parents=True, exist_ok=True)
            few = found[split].select(range(UNLABELLED)) if (role, split) == ("target", "train") else found[split]
            few.to_parquet(folder / role / domain / f"{split}.parquet")
    return found


@torch.no_grad()
def embedded(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """The mean over real tokens, to length 1, by plain transformers: [n, d]."""
    given = tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
    mask = given["attention_mask"].unsqueeze(-1)
    mean = (model(**given).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
    return torch.nn.functional.normalize(mean, dim=1).numpy()


def kept(name: str, rows: int) -> np.ndarray:
    """Return the features that the runs cached for a split's rows."""
    (entry,) = [e for e in cache.entries() if (e.facts.get("name"), e.facts.get("rows")) == (name, rows)]
    found = cache.get(entry.key, rows)
    assert found is not None
    return found


def ours(
    folder: Path, source: str, target: str, model: Path, seed: int, pooling: str | None, steps: int, **more: Any
) -> Any:
    """Return the record of a source-only run with a frozen encoder; ``more`` are further options."""
    return hubtl.adapt(
        model=str(model),
        source_dataset=str(folder / "source" / source),
        target_dataset=str(folder / "target" / target),
        target_eval_split="test",
        strategy="source-only",
        tuner="head",
        steps=steps,
        seed=seed,
        output_dir=str(folder / "run"),
        overwrite=True,
        options={
            "run.plots": False,
            "model.max_length": TOKENS,
            **({"model.pooling": pooling} if pooling else {}),
            **more,
        },
    ).record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=800, help="training rows of each domain")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pairs", nargs="+", default=[f"{a}-{b}" for a, b in permutations(DOMAINS, 2)])
    parser.add_argument("--pooling", help="instead of what the model says, such as own: its library's head")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "text.jsonl")
    args = parser.parse_args()
    ensure_torchvision()
    pairs = [pair.split("-") for pair in args.pairs]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["HUBTL_HOME"] = str(folder / "cache")
        encoder, tokenizer = AutoModel.from_pretrained(args.model).eval(), AutoTokenizer.from_pretrained(args.model)
        splits = {d: drawn(args.data, d, args.rows, folder) for d in sorted({d for pair in pairs for d in pair})}
        for source, target in pairs:
            began = time.monotonic()
            given = folder, source, target, args.model
            records, flat = (
                [ours(*given, seed, args.pooling, args.steps, **more) for seed in args.seeds]
                for more in ({}, {"model.bottleneck": 0})
            )
            reference = None
            if not args.pooling:
                train, test = splits[source]["train"], splits[target]["test"]
                rows, others = kept(f"{source}/train", len(train)), kept(f"{target}/eval", len(test))
                plain = embedded(encoder, tokenizer, list(train["text"][:CHECKED]))
                np.testing.assert_allclose(rows[:CHECKED], plain, atol=1e-4)
                fitted = LogisticRegression(max_iter=1000).fit(rows, train["label"])
                reference = round(100 * fitted.score(others, test["label"]), 2)
            figures = [100 * record.adapted.accuracy for record in records]
            line = {
                "benchmark": "text",
                "model": "all-MiniLM-L6-v2" if "minilm" in str(args.model).lower() else args.model.name,
                "source": source,
                "target": target,
                "rows": args.rows,
                "steps": args.steps,
                "pooling": records[0].model.input["pooling"],
                "normalize": records[0].model.input.get("normalize", False),
                "seeds": args.seeds,
                "accuracy": [round(figure, 2) for figure in figures],
                "mean": round(statistics.mean(figures), 2),
                "no_bottleneck": [round(100 * record.adapted.accuracy, 2) for record in flat],
                "logistic_regression": reference,
                "n": records[0].adapted.n,
                "seconds": round(time.monotonic() - began, 1),
                "versions": {k: v for k, v in records[0].versions.items() if k in ("hubtl", "torch", "transformers")},
            }
            print(json.dumps(line), flush=True)
            with args.output.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
