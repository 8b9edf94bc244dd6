"""Models of the Hub, from a cache, with the network switched off. The cache is laid out as by huggingface_hub."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tiny_encoders import audio_model, image_model, text_model

from hubtl.backbones.timm import timm

COMMIT = "0123456789abcdef0123456789abcdef01234567"

PROGRAM = """
import json, sys
from hubtl_multimodal.encoders import create
from hubtl import HubtlError

found = []
for modality, name, arguments in json.loads(sys.argv[1]):
    try:
        info = create(modality, name, **arguments).info
        found.append([info.name, info.library, info.base_model, info.revision, info.license, info.pretrained])
    except HubtlError as error:
        found.append(str(error))
print(json.dumps(found))
"""


def cached(home: Path, repo: str, model: Path) -> None:
    folder = home / "hub" / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    shutil.copytree(model, folder / "snapshots" / COMMIT)
    (folder / "snapshots" / COMMIT / "README.md").write_text("---\nlicense: apache-2.0\n---\n")


def test_models_of_the_hub(tmp_path: Path) -> None:
    home = tmp_path / "home"
    cached(home, "user/text", text_model("bert", tmp_path / "text"))
    cached(home, "user/image", image_model("clip", tmp_path / "image"))
    cached(home, "user/audio", audio_model("ast", tmp_path / "audio"))
    timm.models.save_for_hf(timm.create_model("test_resnet"), str(tmp_path / "timm"), safe_serialization=True)
    cached(home, "user/timm", tmp_path / "timm")
    asked = [
        ("text", "user/text", {}),
        ("text", f"user/text@{COMMIT}", {}),
        ("image", "user/image@main", {}),
        ("audio", "user/audio", {"pretrained": False}),
        ("image", "user/timm", {"image_size": 64}),
        ("audio", "user/timm", {"options": {"seconds": 0.5}}),
        ("audio", "user/text", {}),
        ("text", "user/timm", {}),
        ("text", "user/text@other", {}),
    ]
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout.splitlines()[-1])
    known = [COMMIT, "apache-2.0", True]
    assert found[:6] == [
        ["user/text", "transformers", "user/text", *known],
        [f"user/text@{COMMIT}", "transformers", "user/text", *known],
        ["user/image@main", "transformers", "user/image", *known],
        ["user/audio", "transformers", None, None, None, False],
        ["user/timm", "timm", "user/timm", *known],
        ["user/timm", "timm", "user/timm", *known],
    ]
    assert found[6] == "user/text is a text model, not an audio model"
    assert found[7] == "user/timm is an image model, not a text model"
    assert "user/text@other are not in the cache" in found[8]
    assert run.stderr == ""
