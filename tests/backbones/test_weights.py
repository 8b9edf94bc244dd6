"""Weights are what they say: tensors missing or left over, damaged files and values that are none end a load by name."""

import json
import math
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubtl import backbones
from hubtl.backbones import own
from hubtl.backbones.base import BackboneRequest, ImageInput
from hubtl.backbones.saved import output_names, read_config
from hubtl.errors import HubtlError
from hubtl.models import saved as api
from tests.backbones.test_loading import tiny

CLASSES = ["ape", "bee", "cat", "dog", "elk"]
KINDS = ("timm", "transformers", "torchvision", "lenet")


def resolve(name, classes=CLASSES, **options):
    torch.manual_seed(0)
    return backbones.resolve(str(name), BackboneRequest(classes, **options))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A saved model of each library, with a classifier for five classes."""
    home = tmp_path_factory.mktemp("models")
    tiny("vit").save_pretrained(home / "transformers")
    for kind, name, size in (
        ("timm", "test_vit", 64),
        ("torchvision", "torchvision:shufflenet_v2_x0_5", 32),
        ("lenet", "lenet", 28),
    ):
        built = resolve(name, pretrained=False, image_size=size)
        api.save(
            home / kind, built, torch.nn.Linear(built.info.width, len(CLASSES)), CLASSES, {"task": "classification"}
        )
    return home


@pytest.fixture
def copied(models, tmp_path):
    def copied(kind):
        return shutil.copytree(models / kind, tmp_path / kind)

    return copied


def change(folder, how):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({k: v.contiguous() for k, v in how(tensors).items()}, path, metadata={"format": "pt"})


def heads(tensors):
    return [k for k in tensors if k.split(".")[0] in ("head", "classifier", "fc")]


def trunk(tensors):
    """Tensors before the classifier, the last layer's last."""
    last = heads(tensors)
    return [k for k, v in tensors.items() if k not in last and v.is_floating_point() and v.ndim]


def but(tensors, names):
    """The tensors without some of them."""
    return {k: v for k, v in tensors.items() if k not in names}


MISFITS = {
    "one is missing": lambda t: but(t, trunk(t)[3:4]),
    "the first half is missing": lambda t: but(t, trunk(t)[: len(trunk(t)) // 2]),
    "only the head matches": lambda t: {k: t[k] for k in heads(t)},
    "all are missing": lambda t: {"nothing": torch.zeros(1)},
    "a prefix before each": lambda t: {f"net.{k}": v for k, v in t.items()},
    "a wrapper of a compiler": lambda t: {f"_wrapped.module.{k}": v for k, v in t.items()},
    "letters in upper case": lambda t: {k.upper(): v for k, v in t.items()},
    "one has another shape": lambda t: t | {trunk(t)[2]: torch.zeros(*t[trunk(t)[2]].shape, 2)},
    "one is a scalar": lambda t: t | {trunk(t)[2]: torch.tensor(1.0)},
    "one is empty": lambda t: t | {trunk(t)[2]: torch.zeros(0)},
    "another architecture": lambda t: {f"blocks.{i}.conv.weight": torch.zeros(4, 4, 3, 3) for i in range(9)},
}


@pytest.mark.parametrize("what", MISFITS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_do_not_fit_are_named(copied, kind, what):
    folder = copied(kind)
    change(folder, MISFITS[what])
    with pytest.raises(HubtlError, match=r"do not fit|have no classifier") as caught:
        api.load(folder)
    if "no classifier" not in str(caught.value):
        assert ("missing (" in str(caught.value)) or ("of another shape (" in str(caught.value))
    for classes in (CLASSES, CLASSES[:3]):  # with the classes of the weights, and with others
        with pytest.raises(HubtlError, match=r"do not fit|have no classifier") as caught:
            resolve(folder, classes)
        assert caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_that_the_architecture_has_no_place_for_are_named(copied, kind):
    folder = copied(kind)
    names = {
        "timm": "blocks.77.attn.proj.weight",
        "transformers": "vit.encoder.layer.77.output.dense.weight",
        "torchvision": "stage4.7.branch2.0.weight",
        "lenet": "convolutions.9.weight",
    }
    change(folder, lambda t: t | {names[kind]: torch.zeros(2, 2)})
    with pytest.raises(HubtlError, match=r"1 unexpected \(.*(77|e4\.7|s\.9)"):
        resolve(folder, CLASSES[:3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_for_other_classes_and_counters_are_no_misfit(copied, kind):
    folder = copied(kind)
    counters = ("num_batches_tracked", "relative_position_index", "position_ids")
    change(
        folder,
        lambda t: {k: v for k, v in t.items() if not k.endswith(counters)} | {"vit.position_ids": torch.zeros(1)},
    )
    assert resolve(folder, CLASSES[:3]).info.pretrained
    change(folder, lambda t: but(t, heads(t)))
    if kind in ("timm", "transformers"):
        assert resolve(folder, CLASSES[:3]).info.pretrained
    with pytest.raises(HubtlError, match=r"no classifier|do not fit|lack"):
        api.load(folder)


def test_a_difference_of_names_alone_is_said(copied):
    folder = copied("lenet")
    change(folder, lambda t: {k if k in heads(t) else f"net.{k}": v for k, v in t.items()})
    with pytest.raises(HubtlError) as caught:
        api.load(folder)
    assert caught.value.hint == "save the tensors without 'net.' before their names"


def test_a_long_list_is_cut_and_counted(copied):
    folder = copied("timm")
    change(folder, lambda t: {k: v for k, v in t.items() if "blocks" not in k})
    with pytest.raises(HubtlError, match=r"tensors \d\d+ missing \(([^,]+, ){6}…\)$"):
        resolve(folder)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "siglip", "resnet", "convnext", "swin"])
def test_a_trunk_without_its_embeddings_is_refused_for_every_family(tmp_path, kind):
    tiny(kind).save_pretrained(tmp_path)
    assert resolve(tmp_path, CLASSES[:3]).info.pretrained
    change(tmp_path, lambda t: dict(list(t.items())[: len(t) // 2]))
    with pytest.raises(HubtlError, match=r"tensors \d+ missing"):
        resolve(tmp_path, CLASSES[:3])


def cut(share):
    return lambda data: data[: int(len(data) * share)]


DAMAGES = {
    "empty": (lambda data: b"", "is empty"),
    "a Git LFS pointer": (
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n",
        "is a Git LFS pointer",
    ),
    "cut in half": (cut(0.5), "is damaged"),
    "cut by a byte": (lambda data: data[:-1], "is damaged"),
    "its header alone": (cut(0.001), "is damaged"),
    "seven bytes": (lambda data: data[:7], "is damaged"),
    "zeros": (lambda data: bytes(len(data)), "is damaged"),
    "a header of garbage": (lambda data: data[:8] + b"\xff" * 64 + data[72:], "is damaged"),
    "a huge header": (lambda data: b"\xff" * 8 + data[8:], "is damaged"),
    "a page": (lambda data: b"<!doctype html><html>Sign in</html>", "is damaged"),
    "more at its end": (lambda data: data + b"more", "is damaged"),
}


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_of_weights_is_named(copied, monkeypatch, kind, what, offline):
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = copied(kind)
    path = folder / "model.safetensors"
    damage, message = DAMAGES[what]
    path.write_bytes(damage(path.read_bytes()))
    for load in (api.load, resolve):
        with pytest.raises(HubtlError, match=rf"{kind}/model\.safetensors {message}"):
            load(folder)


CONFIGS = {
    "empty": ("", "is empty"),
    "cut": ('{"architecture": "test_v', "is not JSON"),
    "a list": ("[1, 2]", "is not a configuration"),
    "a number": ("7", "is not a configuration"),
    "null": ("null", "is not a configuration"),
    "text": ('"lenet"', "is not a configuration"),
    "YAML": ("architecture: lenet", "is not JSON"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "nested without end": ("[" * 100_000, "is nested too deeply"),
    "bytes": (b"\xff\xfe\x00", "is not UTF-8"),
}


@pytest.mark.parametrize("what", CONFIGS)
@pytest.mark.parametrize("kind", ["timm", "transformers", "lenet"])
def test_a_damaged_configuration_is_named(copied, kind, what):
    folder = copied(kind)
    content, message = CONFIGS[what]
    (folder / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    for load in (api.load, resolve):
        with pytest.raises(HubtlError, match=rf"{kind}/config\.json .*{message}"):
            load(folder)


@pytest.mark.parametrize("name", ["hubtl.json", "preprocessor_config.json"])
@pytest.mark.parametrize("what", CONFIGS)
def test_a_damaged_file_beside_it_is_named(copied, name, what):
    folder = copied("lenet" if name == "hubtl.json" else "transformers")
    content, message = CONFIGS[what]
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HubtlError, match=rf"{name} .*{message}"):
        api.load(folder)


PICKLES = {
    "no pickle": (b"these are no weights", "is no file of weights"),
    "empty": (b"", "is empty"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "a cut archive": (b"PK\x03\x04 and no more", "is cut short"),
    "a cut pickle": (pickle.dumps(list(range(99)))[:50], "damaged|do(es)? not load"),
    "an archive of something else": (None, "damaged|do(es)? not load"),
}


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("what", PICKLES)
@pytest.mark.parametrize("kind", ["timm", "transformers"])
def test_a_damaged_pickle_is_named_and_the_hub_is_not_blamed(copied, monkeypatch, kind, what, offline):
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = copied(kind)
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    content, message = PICKLES[what]
    if content is None:
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no weights")
    else:
        path.write_bytes(content)
    with pytest.raises(HubtlError, match=message) as caught:
        resolve(folder)
    assert "reach" not in str(caught.value)
    assert "cache" not in str(caught.value)


@pytest.mark.parametrize("kind", ["timm", "transformers"])
def test_a_folder_without_weights_says_so(copied, monkeypatch, kind):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = copied(kind)
    (folder / "model.safetensors").unlink()
    with pytest.raises(HubtlError, match="holds no weights"):
        resolve(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1-of-2.safetensors"}}')
    with pytest.raises(HubtlError, match=r"names 1 file not in the folder: model-1-of-2\.safetensors"):
        resolve(folder)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["trunk", "classifier"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_none_are_refused_at_load(copied, kind, place, value):
    folder = copied(kind)

    def spoil(tensors):
        name = (trunk if place == "trunk" else heads)(tensors)[-1]
        tensors[name].view(-1)[-1] = value
        return tensors

    change(folder, spoil)
    with pytest.raises(HubtlError, match="1 tensors hold NaN or infinite values: "):
        api.load(folder)
    if place == "trunk":
        with pytest.raises(HubtlError, match="1 tensors hold NaN or infinite values: "):
            resolve(folder, CLASSES[:3])


@pytest.mark.parametrize("place", ["trunk", "classifier"])
def test_values_that_are_none_are_never_saved(tmp_path, place):
    built = resolve("lenet", pretrained=False)
    classifier = torch.nn.Linear(built.info.width, 5)
    with torch.no_grad():
        (built.linear[0].weight if place == "trunk" else classifier.bias).view(-1)[-1:] = math.nan
    with pytest.raises(HubtlError, match="the model is not saved: 1 tensors hold NaN"):
        api.save(tmp_path / "run", built, classifier, CLASSES, {})
    assert not (tmp_path / "run").exists()


INPUTS = [
    {"mean": (math.nan,) * 3},
    {"mean": (math.inf, 0.0, 0.0)},
    {"mean": ("a", "b", "c")},
    {"mean": (0.5, 0.5)},
    {"mean": 0.5},
    {"std": (0.0, 1.0, 1.0)},
    {"std": (-1.0, 1.0, 1.0)},
    {"std": (math.nan,) * 3},
    {"std": ()},
    {"size": 0},
    {"size": -224},
    {"size": 10**9},
    {"size": 224.5},
    {"size": None},
    {"size": True},
    {"channels": 0},
    {"channels": -3},
    {"channels": "RGB"},
    {"crop_pct": 0.0},
    {"crop_pct": -1.0},
    {"crop_pct": math.nan},
    {"crop_pct": 1e-9},
    {"crop_pct": 1e9},
    {"crop_pct": None},
    {"interpolation": "best"},
    {"interpolation": ["bilinear"]},
    {"crop_mode": "round"},
]


@pytest.mark.parametrize("changes", INPUTS, ids=str)
def test_a_preparation_of_images_that_makes_no_sense_is_refused(models, copied, changes):
    with pytest.raises(HubtlError, match=f"makes no sense: {next(iter(changes))}"):
        ImageInput(**changes)
    folder = copied("torchvision")
    for name in ("hubtl.json", "config.json"):
        facts = json.loads((folder / name).read_text())
        facts["input"] |= {k: list(v) if isinstance(v, tuple) else v for k, v in changes.items()}
        (folder / name).write_text(json.dumps(facts))
    with pytest.raises(HubtlError, match="cannot be used"):
        api.load(folder)


@pytest.mark.parametrize("values", [None, [], 7, {"size": 224, "colour": "red"}, "224"], ids=str)
def test_an_input_that_is_none_is_refused(tmp_path, values):
    with pytest.raises(HubtlError, match="its input cannot be used"):
        own.image_input(values, tmp_path)


NAMES = [
    ({"id2label": {"0": "a", "2": "b"}}, "its 2 numbers are not 0 to 1"),
    ({"id2label": {"1": "a", "2": "b"}}, "its 2 numbers are not 0 to 1"),
    ({"id2label": {"zero": "a", "1": "b"}}, "'zero' is no number"),
    ({"id2label": {"0.0": "a", "1": "b"}}, "'0.0' is no number"),
    ({"id2label": {"-1": "a", "0": "b"}}, "'-1' is no number"),
    ({"id2label": ["a", "b"]}, "id2label is a list"),
    ({"id2label": "ab"}, "id2label is a str"),
    ({"id2label": {"0": None, "1": "b"}}, "a class is called None"),
    ({"id2label": {"0": ["a"], "1": "b"}}, "a class is called"),
    ({"label_names": "ab"}, "the class names are a str"),
    ({"label_names": {"a": 0}}, "the class names are a dict"),
    ({"label_names": [None, "b"]}, "a class is called None"),
    ({"pretrained_cfg": {"label_names": 7}}, "the class names are a int"),
]


@pytest.mark.parametrize(("config", "message"), NAMES, ids=str)
def test_class_names_that_are_none_are_refused(config, message):
    with pytest.raises(HubtlError, match=message):
        output_names(config)


def test_classes_of_the_same_name_are_told_by_their_numbers_and_said(caplog):
    names = {"0": "crane", "1": "dog", "2": "crane", "3": "Dog"}
    with caplog.at_level("WARNING", logger="hubtl"):
        assert output_names({"id2label": names}) == ["crane (0)", "dog", "crane (2)", "Dog"]
    assert "calls 1 classes alike (crane)" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [CLASSES[:3], [*CLASSES, "fox", "gnu"]], ids=["fewer", "more"])
def test_more_or_fewer_names_than_outputs_are_refused(copied, kind, names):
    folder = copied(kind)
    (folder / "hubtl.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    if kind == "transformers":
        config |= {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    else:
        config["label_names"] = names
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(HubtlError, match=f"names {len(names)} outputs, and its last layer has 5"):
        api.load(folder)


def test_two_files_that_name_the_classes_differently_are_refused(copied):
    folder = copied("lenet")
    facts = json.loads((folder / "hubtl.json").read_text())
    facts["classes"] = CLASSES[::-1]
    (folder / "hubtl.json").write_text(json.dumps(facts))
    with pytest.raises(HubtlError, match=r"hubtl\.json and config\.json name the outputs differently"):
        api.load(folder)


@pytest.mark.parametrize("written", ["one", None, 1.5, [1], True, 99])
def test_a_format_version_that_is_none_or_from_the_future_is_refused(copied, written):
    folder = copied("lenet")
    facts = json.loads((folder / "hubtl.json").read_text()) | {"format_version": written}
    (folder / "hubtl.json").write_text(json.dumps(facts))
    with pytest.raises(HubtlError, match=r"format_version is|newer hubtl"):
        api.load(folder)


def test_an_adapter_of_peft_is_one_error(tmp_path, copied):
    """Alone and beside a model, whose predictions it would change silently."""
    alone = tmp_path / "adapter"
    alone.mkdir()
    beside = copied("transformers")
    for folder in (alone, beside):
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "user/base"}')
        with pytest.raises(
            HubtlError, match=r"is an adapter of PEFT, not a whole model; its base is user/base"
        ) as caught:
            resolve(str(folder))
        assert "merge_and_unload" in caught.value.hint
        with pytest.raises(HubtlError, match="is an adapter of PEFT"):
            api.load(folder)


@pytest.mark.parametrize("facts", ["{}", '{"version": 1}', '{"classes": []}', '{"classes": null}'])
@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_hubtl_json_does_not_name_are_said_to_be_those_of_the_configuration(copied, caplog, kind, facts):
    folder = copied(kind)
    before = api.load(folder).classes
    caplog.clear()
    (folder / "hubtl.json").write_text(facts)
    assert api.load(folder).classes == before
    said = [
        r.message for r in caplog.records if "hubtl.json names no outputs: those of config.json are taken" in r.message
    ]
    assert len(said) == (facts != "{}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [2, 4])
def test_integers_in_place_of_weights_are_refused(copied, kind, dims):
    folder = copied(kind)
    change(folder, lambda t: {k: v.to(torch.int8) if v.ndim == dims else v for k, v in t.items()})
    with pytest.raises(HubtlError, match=r"integers.*quantised"):
        api.load(folder)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "it lacks size, channels, mean, std"),
        ({"size": 64, "channels": 1, "mean": [0.5], "std": [0.5]}, "does not fit the model: 1 channels of 64 pixels"),
        ({"size": 32, "channels": 3, "mean": [0.5], "std": [0.5]}, "does not fit the model: 3 channels of 32 pixels"),
    ],
)
def test_an_input_that_the_model_cannot_take_is_refused(copied, given, problem):
    folder = copied("lenet")
    facts = json.loads((folder / "hubtl.json").read_text())
    (folder / "hubtl.json").write_text(json.dumps(facts | {"input": given}))
    with pytest.raises(HubtlError, match=problem):
        api.load(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_classifier_without_its_bias_does_not_predict(copied, kind):
    folder = copied(kind)
    assert api.load(folder).classes
    change(folder, lambda t: but(t, [name for name in heads(t) if "bias" in name]))
    with pytest.raises(HubtlError, match=r"(lack|missing).*bias"):
        api.load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_cannot_be_read_is_not_called_missing(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / name)  # a link to itself, which no right and no user changes
    with pytest.raises(HubtlError, match=rf"{name} cannot be read: Too many levels"):
        read_config(tmp_path) if name == "config.json" else own.read_tensors(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(HubtlError, match=f"holds no {name}"):
        read_config(tmp_path) if name == "config.json" else own.read_tensors(tmp_path)
