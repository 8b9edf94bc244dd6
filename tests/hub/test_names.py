"""Decisions without a Hub: names, files, READMEs, snippets, and what is kept out of messages."""

import json

import pytest

from hubtl.card import document
from hubtl.cli.messages import predicting
from hubtl.errors import HubtlError
from hubtl.hub.faults import redact
from hubtl.hub.names import belongs, split_revision
from hubtl.hub.push import load_snippet
from hubtl.hub.readme import combine


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "config.json",
        "model.safetensors",
        "plots/curves.png",
        "recipe.yaml",
        "record.json",
        "tokenizer.json",
        "model-00001-of-00002.safetensors",
        "vocab.txt",
        "encoders/image/config.json",
        "encoders/text/model.safetensors",
        "encoders/text/tokenizer.json",
        "encoders/audio/preprocessor_config.json",
        "modeling_pooled.py",
    ],
)
def test_a_model_file_belongs(name):
    assert belongs(name)


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "vocab.pkl", "pytorch_model.bin", "modeling.py", "training/model.safetensors", "plots/a/b.png",
     "../config.json", "plots/../../x.png", "/config.json", ".hidden.json", "plots/.x.png", "config.json.partial",
     "encoders/text/pytorch_model.bin", "encoders/config.json", "encoders/text/more/config.json",
     "encoders/.text/config.json", "encoders/../config.json", "encoders/image/README.md", "encoders/text/modeling.py",
     "encoders/text/modeling_pooled.py",
     "plots\\x.png", "tokenizer/../x.json"],
)  # fmt: skip
def test_anything_else_does_not_belong(name):
    assert not belongs(name)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("user/repo", ("user/repo", None)),
        ("user/repo@main", ("user/repo", "main")),
        ("org-1/a.b_c@refs/pr/3", ("org-1/a.b_c", "refs/pr/3")),
        ("user/repo@v1.0+cpu", ("user/repo", "v1.0+cpu")),
    ],
)
def test_a_name_splits_at_its_revision(spec, parts):
    assert split_revision(spec) == parts


@pytest.mark.parametrize(
    "spec",
    ["repo", "a/b/c", "user/", "/repo", "user/repo@", "user/../x", "user/a--b", "user/x.git", "user/repo-", "us er/repo",
     "user/repo@../x", "user/repo@-x", f"user/{'x' * 100}", ""],
)  # fmt: skip
def test_a_name_that_the_hub_would_refuse_is_refused_here(spec):
    with pytest.raises(HubtlError, match="not a repository's name"):
        split_revision(spec)


def test_tokens_are_never_repeated(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "unusual token/1")
    said = redact("sent unusual token/1 and hf_aBcDeFgHiJkL, Authorization: Bearer xyz is saved in runs/hf_mobilenetv3")
    assert said == "sent <token> and <token>, Authorization: Bearer <token> is saved in runs/hf_mobilenetv3"


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ('{"library": "timm", "native": true}', 'timm.create_model("hf-hub:user/repo", pretrained=True)'),
        ('{"library": "transformers"}', 'AutoModelForImageClassification.from_pretrained("user/repo")'),
        ('{"library": "timm", "native": false}', 'hubtl.load("user/repo")'),
        ('{"library": "torchvision"}', 'hubtl.load("user/repo")'),
        ('{"library": "hubtl", "native": false, "architecture": "multimodal"}', 'hubtl.load("user/repo")'),
    ],
)
def test_the_snippet_is_that_of_the_library_that_can_load_the_model(tmp_path, facts, line):
    (tmp_path / "hubtl.json").write_text(facts)
    first, second = load_snippet(tmp_path, "user/repo").splitlines()
    assert second == f"model = {line}"
    plain = first.removesuffix("  # pip install hubtl hubtl-multimodal")
    assert (plain != first) == ("multimodal" in facts)
    assert plain in ("import timm", "from transformers import AutoModelForImageClassification", "import hubtl")


def test_of_a_metadata_key_changed_on_both_sides_the_local_value_counts():
    theirs = "---\nlicense: mit\nlanguage: fi\ntags:\n- a\n---\nText.\n"
    ours = "---\nlicense: apache-2.0\ntags:\n- b\n---\nText.\n"
    both = document.parse(combine(ours, theirs))
    assert both.metadata == {"license": "apache-2.0", "language": "fi", "tags": ["a", "b"]}
    assert both.after.strip() == "Text."


@pytest.mark.parametrize(
    ("modalities", "rows"),
    [(["image"], "IMAGE"), (["text"], "text=WORDS"), (["image", "audio"], "image=FILE audio=FILE")],
)
def test_what_to_do_with_a_pulled_model_is_said_without_loading_anything(tmp_path, modalities, rows):
    (tmp_path / "hubtl.json").write_text(json.dumps({"modalities": modalities}))
    assert predicting(tmp_path) == f"hubtl predict {tmp_path} {rows}"


def test_a_pulled_model_of_another_program_is_asked_what_it_takes(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert predicting(tmp_path) == f"hubtl predict {tmp_path} text=WORDS"
