"""A process that cannot import hubtl: what a reader of a card has.

``loads`` opens exported models there with the libraries that they were exported for, from a Hub and from their folders,
all in one process: importing torch, timm and transformers takes longer than loading every tiny model.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PRELUDE = """
import sys, warnings
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Without())
warnings.simplefilter("ignore")
import torch
from pathlib import Path
import importlib.util
origin = importlib.util.find_spec("torchvision").origin  # a CUDA build beside a CPU torch needs two declarations
try:
    torch.ops.load_library(str(next(Path(origin).parent.glob("_C*.so"))))
except (OSError, StopIteration):
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
torch.set_grad_enabled(False)
"""
LOADS = """
import json
import timm
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

def by_timm(where, images, given):
    model = timm.create_model(where, pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    pixels = torch.stack([transform(image) for image in images])
    names = model.pretrained_cfg["label_names"]
    return {"logits": model(pixels), "of the same": model(given), "pixels": pixels, "labels": names}

def by_transformers(where, images, given, revision=None):
    processor = AutoImageProcessor.from_pretrained(where, revision=revision)
    in_pil = AutoImageProcessor.from_pretrained(where, revision=revision, backend="pil")
    model = AutoModelForImageClassification.from_pretrained(where, revision=revision).eval()
    pixels, exact = (torch.cat([p(i, return_tensors="pt")["pixel_values"] for i in images]) for p in (processor, in_pil))
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    found = {"logits": model(pixels).logits, "of the same": model(given).logits, "pixels": pixels, "in PIL": exact}
    return found | {"labels": names}

def by_pipeline(where, images):
    classify = pipeline("image-classification", model=where)
    found = [classify(image, top_k=99) for image in images]
    return {"labels": [max(rows, key=lambda r: r["score"])["label"] for rows in found],
            "scores": [{r["label"]: r["score"] for r in rows} for rows in found]}

def plain(value):
    return value.tolist() if isinstance(value, torch.Tensor) else value

answers = {}
for job in json.loads(sys.stdin.read()):
    images, given = [Image.open(path) for path in job["images"]], load_file(job["pixels"])["pixels"]
    repo, folder, revision = job["repo"], job["folder"], job["revision"]
    loaders = {"transformers hub": lambda: by_transformers(repo, images, given),
               "transformers revision": lambda: by_transformers(repo, images, given, revision),
               "transformers folder": lambda: by_transformers(folder, images, given)}
    if job["library"] == "timm":
        loaders |= {"timm hub": lambda: by_timm("hf-hub:" + repo, images, given),
                    "timm revision": lambda: by_timm("hf-hub:" + repo + "@" + revision, images, given),
                    "timm folder": lambda: by_timm("local-dir:" + folder, images, given)}
    loaders |= {"pipeline hub": lambda: by_pipeline(repo, images),
                "pipeline folder": lambda: by_pipeline(folder, images)}
    found = {}
    for how, load in loaders.items():
        try:
            found[how] = {k: plain(v) for k, v in load().items()}
        except Exception as error:  # each loader is judged by a test of its own
            found[how] = {"error": f"{type(error).__name__}: {error}"[:600]}
    answers[job["name"]] = found
assert "hubtl" not in sys.modules
print(json.dumps(answers))
"""


def python(
    code: str, *, blocked: Sequence[str] = ("hubtl",), given: str = "", cwd: Path | None = None, **env: str
) -> str:
    """Run code in a fresh process and return its last line. The prelude runs first."""
    prelude = PRELUDE.replace("BLOCKED", repr(tuple(blocked)))
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd=cwd,
        env=env or dict(os.environ),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def loads(jobs: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Run each loader on each job: a name, a library, a repo, its revision, a folder, images and pixels (paths).

    By name, then by loader ("timm hub", "pipeline folder"): pixels that it makes of the images, their logits, those of
    the pixels that it was given, labels and scores, or an error.
    """
    answers: dict[str, dict[str, dict[str, Any]]] = json.loads(
        python(LOADS, given=json.dumps(list(jobs)), **environment)
    )
    return answers
