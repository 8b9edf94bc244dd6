"""A frozen sentence-transformers model on reviews of four kinds of goods: source-only beside logistic regression.

    python benchmarks/text.py DATA MODEL [--rows 800] [--seeds 0 1 2] [--pairs books-kitchen …]

DATA holds books, dvd, electronics and kitchen of the Multi-Domain Sentiment Dataset, each a folder of parquet files with the
columns text and label and the splits train and test. MODEL is a folder as sentence-transformers writes it, such as
all-MiniLM-L6-v2. hubtl reads from it how tokens are pooled; scikit-learn's logistic regression, with its defaults, is given
the embedding as plain transformers and the model card's own lines make it: the mean over real tokens, to length 1. Both see
the same rows, the first 128 tokens, and no row of the target. One JSON line for each pair.
"""

import argparse
import json
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

DOMAINS = ("books", "dvd", "electronics", "kitchen")
TOKENS = 128
SPLITS = ("train", "test")


def drawn(data: Path, domain: str, rows: int, folder: Path) -> dict[str, Dataset]:
    """The splits of a domain, of the training one so many rows, written for hubtl too."""
    found = {}
    for split in SPLITS:
        whole = load_dataset("parquet", data_files=str(next((data / domain).glob(f"{split}*.parquet"))), split="train")
        kept = whole.shuffle(seed=0).select_columns(["text", "label"])
        found[split] = kept.select(range(min(rows, len(kept)))) if split == "train" else kept
        (folder / domain).mkdir(parents=True, exist_ok=True)
        found[split].to_parquet(folder / domain / f"{split}.parquet")
    return found


@torch.no_grad()
def embedded(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """The mean over real tokens, to length 1: [n, d]."""
    found = []
    for start in range(0, len(texts), 32):
        given = tokenizer(
            texts[start : start + 32], padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
        )
        mask = given["attention_mask"].unsqueeze(-1)
        mean = (model(**given).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
        found.append(torch.nn.functional.normalize(mean, dim=1))
    return torch.cat(found).numpy()


def ours(folder: Path, source: str, target: str, model: Path, seed: int, pooling: str | None, steps: int) -> Any:
    """The record of a source-only run with a frozen encoder."""
    return hubtl.adapt(
        model=str(model),
        source_dataset=str(folder / source),
        target_dataset=str(folder / target),
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
        encoder, tokenizer = AutoModel.from_pretrained(args.model).eval(), AutoTokenizer.from_pretrained(args.model)
        known = {}
        for domain in sorted({domain for pair in pairs for domain in pair}):
            splits = drawn(args.data, domain, args.rows, folder)
            known[domain] = {
                split: (embedded(encoder, tokenizer, list(rows["text"])), np.array(rows["label"]))
                for split, rows in splits.items()
            }
        for source, target in pairs:
            began = time.monotonic()
            fitted = LogisticRegression(max_iter=1000).fit(*known[source]["train"])
            reference = 100 * fitted.score(*known[target]["test"])
            records = [ours(folder, source, target, args.model, seed, args.pooling, args.steps) for seed in args.seeds]
            figures = [100 * record.source_only.accuracy for record in records]
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
                "logistic_regression": round(reference, 2),
                "n": records[0].source_only.n,
                "seconds": round(time.monotonic() - began, 1),
                "versions": {k: v for k, v in records[0].versions.items() if k in ("hubtl", "torch", "transformers")},
            }
            print(json.dumps(line), flush=True)
            with args.output.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
