"""A model of several modalities at test time, one corrupted: frozen, and adapting online.

    python benchmarks/corrupted.py RUN DATASET --methods read tent --seeds 0 1 2

RUN is a run directory whose model was asked for ``model.corruption``; DATASET has labelled rows in a split ``test``. Of each
modality and severity, one JSON line a method and order of the rows: accuracy of the model as it is, and of a copy that
learns from each batch after it was scored. No label is read but to score.
"""

import argparse
import json
from pathlib import Path

from hubtl.judging.subsets import variants
from hubtl.models import saved as api
from hubtl.record import RunRecord
from hubtl.studies.evaluate import labelled, online_beside_frozen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("dataset")
    parser.add_argument("--methods", nargs="+", default=["read", "tent"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "corrupted.jsonl")
    args = parser.parse_args()
    record, loaded = RunRecord.load(Path(args.run)), api.load(args.run)
    rows, unknown, _ = labelled(loaded, args.dataset, None, None, None)
    cases = [("as they are", rows), *(v for v in variants(loaded.classifier, rows) if "corrupted" in v[0])]
    for name, changed in cases:
        changed.labels = rows.labels
        for method in args.methods:
            for seed in args.seeds:
                adapting = loaded.test_time(method, {})
                online, frozen = online_beside_frozen(loaded, adapting, method, changed, unknown, args.batch_size, seed)
                line = {
                    "benchmark": "corrupted",
                    "strategy": record.strategy,
                    "rows": name,
                    "n": frozen.n,
                    "method": method,
                    "seed": seed,
                    "batch_size": args.batch_size,
                    "frozen": round(100 * (frozen.accuracy or 0.0), 2),
                    "online": round(100 * (online.figures.accuracy or 0.0), 2),
                    "resets": online.resets,
                    "versions": {k: v for k, v in record.versions.items() if k in ("hubtl", "torch")},
                }
                print(json.dumps(line), flush=True)
                with args.output.open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
