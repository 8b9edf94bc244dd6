"""Modalities stand the suite; what breaks one claim is found by its check."""

import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.modalities.audio import Audio
from hubtl.modalities.image import Image
from hubtl.modalities.text import Text
from hubtl.testing import check
from hubtl.testing.kinds import suite_of
from tests.tiny import hubtl_command

OUTSIDE = Path(__file__).parents[1] / "modalities" / "outside"
POINTS = """
[hubtl.modalities]
sensor = outside_sensor.modality:Sensor
[hubtl.backbones]
sensor-conv = outside_sensor.network:SensorLoader
"""
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(autouse=True)
def outside(tmp_path, monkeypatch):
    """The package of another modality, as if it were installed."""
    info = tmp_path / "site" / "outside_sensor-0.3.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: outside-sensor\nVersion: 0.3.0\nRequires-Dist: hubtl>=0.1,<9\n"
    )
    (info / "entry_points.txt").write_text(POINTS)
    for path in (str(tmp_path / "site"), str(OUTSIDE)):
        monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    plugins.entries.cache_clear()
    yield
    plugins.entries.cache_clear()
    if bars:
        datasets.enable_progress_bars()


def text_model(folder):
    import transformers as hf

    words = folder / "words.txt"
    folder.mkdir()
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "food", "was", "not", "good"]))
    hf.BertTokenizer(vocab=str(words)).save_pretrained(folder)
    hf.BertModel(hf.BertConfig(**SMALL, vocab_size=10, max_position_embeddings=40)).save_pretrained(folder)
    return folder


def audio_model(folder):
    import transformers as hf

    sizes = {"conv_dim": (16, 16), "conv_kernel": (10, 3), "conv_stride": (5, 4), "num_feat_extract_layers": 2}
    config = hf.Wav2Vec2Config(**SMALL, **sizes, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
    hf.Wav2Vec2Model(config).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def test_images_stand_the_suite():
    check(Image)
    check(Image, model="test_resnet")


def test_texts_stand_the_suite(tmp_path):
    check(Text, model=str(text_model(tmp_path / "text")))


def test_recordings_stand_the_suite(tmp_path):
    check(Audio, model=str(audio_model(tmp_path / "audio")), seconds=0.2)


def test_a_modality_of_another_package_stands_the_suite_with_its_own_model_and_cells_of_a_dataset():
    from outside_sensor.modality import Sensor
    from outside_sensor.network import SensorLoader

    check(Sensor)
    rows = np.random.default_rng(0).standard_normal((5, 32)).tolist()
    check(Sensor, dataset=datasets.Dataset.from_dict({"wave": rows, "price": [1.0] * 5}), length=32)
    check(SensorLoader)


def broken(**attributes):
    """A modality and a model whose reader have something wrong."""
    from outside_sensor.modality import Sensor
    from outside_sensor.network import SensorLoader, SensorNet
    from outside_sensor.reading import SensorReader

    reader = {name.removeprefix("reader_"): own for name, own in attributes.items() if name.startswith("reader_")}
    own = {name: value for name, value in attributes.items() if not name.startswith("reader_")}
    cls = type("Sensor", (Sensor,), {"__doc__": "Signals.", **own})
    net = SensorNet(SensorLoader.Options())
    made = type("BrokenReader", (SensorReader,), reader | {"__module__": __name__})
    globals()["BrokenReader"] = made  # where pickle looks it up
    net.readers = {"sensor": made(64)}
    return suite_of(cls, model=net)


def fails(suite, name, said):
    """The check of that name fails, and those before it hold."""
    for one in suite.checks():
        if one.name == name:
            with pytest.raises((AssertionError, HubtlError), match=said):
                one.run()
            return
        one.run()
    raise AssertionError(f"there is no check {name}")


def raises(error):
    def method(self, *given, **how):
        raise error

    return method


def first(dataset, asked, where):
    return next(iter(dataset.features))


class Cover:
    """Another cover than its own, in one thing."""

    def __init__(self, cover, **changes):
        self.__dict__.update(vars(cover) | {"name": cover.name, "times": cover.times} | changes)
        self.cover = cover

    def __getattr__(self, name):
        return getattr(self.__dict__["cover"], name)


def covering(**changes):
    def cover(self, backbone, row):
        from outside_sensor.modality import Sensor

        own = Sensor.cover(self, backbone, row)
        return Cover(own, **{name: value(own) if callable(value) else value for name, value in changes.items()})

    return cover


def noisy(self, arrays, name, rng):
    return {"sensor": (arrays["sensor"] + np.random.default_rng().standard_normal(64)).astype(np.float32)}


def written(self, arrays, severity, rng):
    arrays["sensor"] += 1
    return dict(arrays)


def drawn(self, arrays, severity, rng):
    return {"sensor": np.random.default_rng().standard_normal(64).astype(np.float32)}


def otherwise(self, backbone):
    intake = type(self).__mro__[1].intake(self, backbone)
    batch = intake.batch
    intake.batch = lambda values: {key: tensor * 2 for key, tensor in batch(values).items()}
    return intake


def opening(self, cell):
    self.opened = (value for value in cell)
    return {"sensor": np.asarray(cell, np.float32)}


def counted(self, cell):
    self.reads = getattr(self, "reads", 0) + 1
    return {"sensor": np.full(64, float(self.reads), np.float32)}


BROKEN = [
    ({"__doc__": ""}, "documents", "has no docstring"),
    ({"noun": None}, "documents", "its noun is None"),
    ({"example": "a signal"}, "documents", "the code of its example does not compile"),
    ({"requires": "outside-sensor[all]"}, "documents", "check\\(\\) looks for none"),
    ({"covers": "yes"}, "documents", "its covers is 'yes'"),
    ({"rank": "first"}, "documents", "its rank is 'first'"),
    ({"name": "my sensor"}, "called", "its name is 'my sensor'"),
    ({"name": "lidar"}, "called", "it is registered as sensor, and its name is lidar"),
    ({"is_called": lambda self, column: False}, "called", "a column called sensor is not called as it is"),
    ({"__module__": "hubtl.modules"}, "imports", "importing hubtl.modules imports .*torch"),
    ({"__module__": "no_such_module"}, "imports", "no_such_module cannot be imported by itself"),
    ({"suffixes": frozenset({"npy"})}, "files", "its suffixes have 'npy'"),
    ({"suffixes": frozenset({".png"})}, "files", "files of .png are read as image"),
    ({"suffixes": frozenset({".npy"})}, "files", "it has suffixes, and feature.* is None"),
    ({"samples": lambda self, spec, rng: []}, "samples", "makes 0 cells"),
    ({"is_cell": lambda self, value: True}, "samples", "a list of cells is one"),
    ({"is_cell": lambda self, value: isinstance(value, str)}, "samples", "a sample is none"),
    (
        {"is_cell": lambda self, value: isinstance(value, list) and np.ndim(value) == 1 and any(value)},
        "samples",
        "predicts .0.0. . 64",
    ),
    ({"column": lambda self, *given: "sensor"}, "finds", "it does not take the column that is asked for"),
    ({"column": lambda self, dataset, asked, where: asked or "sensor"}, "finds", "raises no HubtlError"),
    ({"reader_read": counted}, "reads", "read twice differ"),
    ({"reader_read": lambda self, cell: {"sensor": np.ones(64, np.float32)}}, "reads", "two different cells are read as the same"),
    (
        {"reader_tensors": lambda self, stacked: {"wave": torch.from_numpy(stacked["sensor"])}},
        "reads",
        "a batch has wave, .*and not sensor",
    ),
    (
        {"reader_tensors": lambda self, stacked: {"sensor": torch.from_numpy(stacked["sensor"]).double()}},
        "reads",
        "sensor is torch.float64",
    ),
    (
        {"reader_tensors": lambda self, s: {"sensor": torch.from_numpy(s["sensor"] - s["sensor"].mean(axis=0))}},
        "reads",
        "a row depends on the rows beside it",
    ),
    ({"reader_tensors": lambda self, s: {"sensor": torch.from_numpy(s["sensor"]) / 0}}, "reads", "not finite"),
    ({"reader_read": opening}, "reads", "cannot be sent to another process: .*generator"),
    ({"reader_view": noisy}, "views", "with the same seed differs"),
    ({"reader_view": lambda self, arrays, name, rng: dict(arrays)}, "views", "the weak view is the same for any seed"),
    (
        {"reader_view": lambda self, arrays, name, rng: {"sensor": rng.standard_normal(32).astype(np.float32)}},
        "views",
        "another form than the row: .*and float32 \\[4, 32\\]",
    ),
    ({"reader_read": lambda self, cell: {"sensor": np.resize(np.float32(cell), 64)}}, "refuses", "values that are not finite"),
    ({"reader_missing": lambda self, cell: False, "reader_read": lambda self, cell: {"sensor": np.float32(cell)}},
     "refuses", "a cell half as long .*"),
    ({"reader_missing": lambda self, cell: False}, "lacks", "a missing cell is read|missing.None. is False"),
    ({"reader_empty": lambda self: {"sensor": np.zeros(32, np.float32)}}, "lacks", "empty.. makes .*32.*, and read.. .*64"),
    ({"reader_corrupt": written}, "spoils", "writes into the arrays"),
    ({"reader_corrupt": drawn}, "spoils", "with equal random numbers, its arrays differ"),
    ({"reader_corrupt": lambda self, arrays, severity, rng: dict(arrays)}, "spoils", "severity 1 changes nothing"),
    (
        {"reader_corrupt": lambda self, arrays, severity, rng: {"sensor": arrays["sensor"] + np.float32(1)}},
        "spoils",
        "severity 5 changes no more than severity 1",
    ),
    ({"intake": otherwise}, "predicts", "to predict is prepared otherwise than in training"),
    ({"trial": lambda self, spec: {"sensor": torch.zeros(2, 32)}}, "predicts", "trial.. makes other inputs"),
    ({"takes": lambda self, spec: "a\nb"}, "says", "takes.. says 'a"),
    ({"snippet": lambda self, *given: "import ("}, "says", "does not compile"),
    ({"snippet": lambda self, *given: "import hubtl"}, "says", "has no user/model"),
    ({"opens": lambda self, spec: "signal = open("}, "says", "the code of opens.. does not compile"),
    ({"html": lambda self, cell: 7}, "shows", "html.. returns int"),
    ({"html": lambda self, cell: '<img src="https://elsewhere/a.png">'}, "shows", "html.. needs something else"),
    ({"cover": covering(times=3)}, "explains", "times is 3, and parts are in 2 to 2 windows"),
    ({"cover": covering(layout=lambda own: {"parts": 8})}, "explains", "layout has no kind"),
    ({"cover": covering(windows=lambda own: own.windows.float())}, "explains", "windows are torch.float32"),
    (
        {"cover": covering(without=lambda own: lambda gone: [{"sensor": own.signal.expand(len(gone), -1)}])},
        "explains",
        "without.. of all parts is the row as it was",
    ),
    (
        {"cover": covering(draw=lambda own: lambda plain, mapped, relevance, theme: None)},
        "explains",
        "draw.. returns NoneType",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "name", "said"), BROKEN, ids=[f"{name}-{said[:20]}" for _, name, said in BROKEN]
)
def test_a_modality_that_breaks_a_claim(attributes, name, said):
    fails(broken(**attributes), name, said)


def test_every_check_is_broken_by_one_of_these():
    from outside_sensor.modality import Sensor

    assert {name for _, name, _ in BROKEN} == set(suite_of(Sensor).mends)


def test_a_column_of_another_kind_that_is_claimed_is_named():
    def greedy(self, dataset, asked, where):
        if asked is None and "sensor" not in dataset.features:
            return "price"
        from outside_sensor.modality import Sensor

        return Sensor.column(self, dataset, asked, where)

    fails(broken(column=greedy), "finds", "it claims price, a column of another kind .Value.")


def test_a_reader_that_raises_another_error_is_told_which(monkeypatch):
    def strict(self, cell):
        signal = np.asarray([value + 0.0 for value in cell], np.float32).reshape(64)
        if not np.isfinite(signal).all():
            raise ValueError("no finite values")
        return {"sensor": signal}

    fails(broken(reader_read=strict), "refuses", "to predict, raises TypeError")


def test_the_command_checks_a_modality_with_its_own_model_or_another_one(tmp_path, capsys):
    code, out, err = hubtl_command(["plugin", "check", "sensor"], capsys)
    assert code == 0, out + err
    assert out.splitlines()[0] == "checking modality 'sensor' of outside-sensor 0.3.0"
    assert "17 of 17 checks pass" in out
    rows = np.random.default_rng(0).standard_normal((5, 32)).tolist()
    datasets.Dataset.from_dict({"wave": rows}).to_parquet(tmp_path / "rows.parquet")
    own = ["--dataset", str(tmp_path / "rows.parquet")]
    code, out, _ = hubtl_command(
        ["plugin", "check", "sensor", *own, "--model", "sensor-conv", "--set", "length=32"], capsys
    )
    assert code == 0, out
    code, out, _ = hubtl_command(["plugin", "check", "sensor", *own], capsys)
    assert (code, "FAIL  reads" in out, "row 0: cannot read its sensor: no signal of 64 finite values" in out) == (
        1,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        (["text"], "text is checked with a model that takes it alone, and none is known", "--model NAME"),
        (["text", "--model", "lenet"], "lenet takes image, and not text alone", "--model NAME of one that does"),
        (["sensor", "--set", "lenth=3"], "sensor-conv has no option 'lenth'", "its options: length, channels"),
        (["text", "--set", "lenth=3"], "text has no options", "leave --set out"),
        (["sensor", "--label-column", "x"], "--label-column is not for a modality", "leave it out for sensor"),
        (["sensor", "--dataset", "no/where.csv"], "no/where.csv", ""),
    ],
)
def test_bad_input_is_one_error(capsys, line, said, hint):
    code, _, err = hubtl_command(["plugin", "check", *line], capsys)
    assert (code, said in err, hint in err) == (2, True, True), err
    assert len(err.splitlines()) == 2
