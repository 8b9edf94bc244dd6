"""An explanation adds up, finds what decided, and is tested. It can be looked at."""

import json

import numpy as np
import pytest
import torch
from hubtl_multimodal.explain import deletion, values
from hubtl_multimodal.explain.game import Game
from hubtl_multimodal.explain.layout import on_grid, words
from PIL import Image
from tiny_encoders import AUDIO, audio_model, image_model, text_model
from torch import nn
from trimodal import CLASSES, Models, row

from hubtl.backbones import resolve
from hubtl.backbones.base import BackboneRequest
from hubtl.modules import Classifier, Encoder

SMALL = {"width": 16, "layers": 1, "heads": 2, "bottlenecks": 2, "latents": 4, "max_length": 12, "seconds": 0.3}
KINDS = ("late", "concat-mlp", "concat-transformer", "bottleneck")


def classifier(name: str, **options: object) -> Classifier:
    torch.manual_seed(0)
    backbone = resolve(name, BackboneRequest(CLASSES, pretrained=False, options=SMALL | options)).eval()
    head = nn.Linear(backbone.info.width, len(CLASSES))
    with torch.no_grad():
        head.weight.mul_(5)
    return Classifier(Encoder(backbone), head).eval()


def game(model: Classifier, cells: dict) -> Game:
    return Game(model, model.encoder.backbone.collate([cells]))


@pytest.fixture(scope="module")
def model(models: Models) -> Classifier:
    return classifier(models.named())


def explained(model: Classifier, cells: dict, **options: object):
    options = {"samples": 64, "orders": 5} | options
    return model.encoder.backbone.explain(model, CLASSES, cells, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", [("image", "text", "audio"), ("image", "audio"), ("text",)])
def test_shares_of_the_modalities_add_up_and_an_absent_one_has_none(models, kind, there):
    cells = {m: row(1)[m] for m in there}
    found = explained(classifier(models.named(), fusion=kind), cells)
    assert set(found.modalities) == set(there)
    assert sum(found.modalities.values()) == pytest.approx(found.probability - found.nothing, abs=1e-5)
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert set(found.relevance) == set(found.transferability) == set(found.layout) == set(there)


def test_the_probability_is_that_of_the_prediction_and_another_class_can_be_asked_for(model):
    with torch.no_grad():
        wanted = model(model.encoder.backbone.collate([row(1)])).softmax(dim=1)[0]
    found = explained(model, row(1))
    assert found.index == int(wanted.argmax())
    assert found.probability == pytest.approx(float(wanted.max()), abs=1e-5)
    other = explained(model, row(1), label="red")
    assert (other.label, other.probability) == ("red", pytest.approx(float(wanted[0]), abs=1e-5))


def test_taking_a_modality_away_is_what_a_row_without_it_is(model):
    playing = game(model, row(2))
    kept = playing.everything()
    kept["text"][:] = False
    with torch.no_grad():
        wanted = model(model.encoder.backbone.collate([{m: row(2)[m] for m in ("image", "audio")}]))
    torch.testing.assert_close(playing.logits(kept), wanted, rtol=1e-4, atol=1e-5)


class Decides(nn.Module):
    """Class 1 where one token is there, else class 0; everything else says a little."""

    def __init__(self, of: Classifier, modality: str, place: int) -> None:
        super().__init__()
        self.encoder, self.modality, self.place = of.encoder, modality, place

    def forward(self, inputs):
        there = inputs[f"{self.modality}.mask"][:, self.place].float()
        others = sum(inputs[f"{m}.mask"].float().mean(dim=1) for m in ("image", "text", "audio"))
        return torch.stack([-4 * there, 4 * there + 0.1 * others, 0.0 * there], dim=1)


@pytest.mark.parametrize(("modality", "place"), [("image", 5), ("text", 3), ("audio", 7)])
def test_the_token_that_decides_is_found(model, modality, place):
    playing = game(Decides(model, modality, place), row(0))
    found = values.banzhaf(playing, 1, 512, torch.Generator().manual_seed(0))
    at = playing.places[modality].tolist().index(place)
    best = {m: int(v.argmax()) for m, v in found.items()}
    assert best[modality] == at
    decisive = float(found[modality][at])
    rest = max(float(v.abs()[[i for i in range(len(v)) if (m, i) != (modality, at)]].max()) for m, v in found.items())
    assert decisive > 3 * rest
    shares, _ = values.shapley(playing, 1)
    assert max(shares, key=shares.get) == modality


def test_an_order_that_is_known_to_matter_falls_faster_than_a_random_one_and_its_reverse_slower(model):
    playing = game(Decides(model, "image", 5), row(0))
    known = {m: torch.zeros(n) for m, n in playing.tokens.items()}
    known["image"][5] = 1.0
    generator = torch.Generator().manual_seed(0)
    good = deletion.run(playing, 1, known, 10, generator)
    bad = deletion.run(playing, 1, {m: -v for m, v in known.items()}, 10, generator)
    assert good.top_area < good.random_area - good.random_sd
    assert good.beaten == 10
    assert good.faithful
    assert bad.top_area > bad.random_area
    assert not bad.faithful
    assert (good.shares[0], good.shares[-1], len(good.top)) == (0, 1, 21)
    assert good.top[0] == pytest.approx(good.random[0])
    assert good.top[-1] == pytest.approx(good.random[-1])


def test_the_same_seed_explains_the_same(model):
    one, two, other = (explained(model, row(1), seed=seed) for seed in (3, 3, 4))
    assert one == two
    assert one.relevance != other.relevance
    assert one.modalities == other.modalities  # exact


def test_transferability_is_what_the_local_critics_say(models):
    model = classifier(models.named())
    assert {v for own in explained(model, row(0)).transferability.values() for v in own} == {1.0}  # nothing was learnt
    critic = model.encoder.backbone.fusion.critics["text"].layers[-1]
    with torch.no_grad():
        critic.weight.normal_(std=3.0)
    weights = explained(model, row(0)).transferability
    assert min(weights["text"]) < 0.9
    assert set(weights["image"]) == {1.0}


def test_resampled_modalities_are_explained_token_by_token(tmp_path):
    """An image of more tokens than the fusion takes: its weights come back through the resampler's attention."""
    name = f"image={image_model('vit', tmp_path / 'vit')}"
    torch.manual_seed(0)
    request = BackboneRequest(CLASSES, pretrained=False, image_size=72, options=SMALL)
    backbone = resolve(name, request).eval()
    model = Classifier(Encoder(backbone), nn.Linear(backbone.info.width, 3)).eval()
    with torch.no_grad():
        backbone.fusion.critics["image"].layers[-1].weight.normal_(std=3.0)
    found = explained(model, {"image": row(0)["image"]})
    assert len(found.relevance["image"]) == len(found.transferability["image"]) == 82
    assert 0 <= min(found.transferability["image"]) < max(found.transferability["image"]) <= 1 + 1e-6


def test_the_nearest_source_rows_are_the_most_alike(model):
    source = [(row(y, seed), CLASSES[y]) for y in range(3) for seed in range(3)]
    found = explained(model, row(1, 2), source=source, neighbours=2)
    assert (found.neighbours[0].row, found.neighbours[0].label) == (5, "green")
    assert found.neighbours[0].cosine == pytest.approx(1, abs=1e-3)
    assert found.neighbours[0].cosine >= found.neighbours[1].cosine


# layout


def test_pieces_are_put_together_to_words():
    pieces = ["[CLS]", "very", "##ly", "good", "##ing", "##ly", "[SEP]"]
    assert words(pieces, [9, 1, 2, 3, 4, 5, 9]) == [("veryly", 3), ("goodingly", 12)]
    assert words(["<s>", "▁the", "▁fil", "m", "</s>"], [9, 1, 2, 3, 9]) == [("the", 1), ("film", 5)]
    assert words(["<s>", "The", "Ġfil", "m", "</s>"], [9, 1, 2, 3, 9]) == [("The", 1), ("film", 5)]
    assert words(["[CLS]", "[SEP]"], [1, 2]) == []


def test_values_lie_where_their_tokens_do():
    layout = {"prefix": 1, "rows": 2, "columns": 3, "places": [0, 1, 3, 6]}
    assert on_grid([9.0, 1.0, 2.0, 3.0], layout).tolist() == [[1, 0, 2], [0, 0, 3]]


def test_a_token_of_a_picture_is_where_the_picture_is(models):
    """A change in one corner changes that corner's embedding alone."""
    backbone = resolve(models.named("image"), BackboneRequest(CLASSES, pretrained=False, options=SMALL)).eval()
    grid = backbone.tower("image").grid(backbone.collate([{"image": row(0)["image"]}]))
    assert (grid.prefix, grid.rows, grid.columns, grid.axes) == (1, 4, 4, ("y", "x"))
    pixels = np.asarray(row(0)["image"]).copy()
    pixels[:8, 24:] = 255  # top right
    one, other = (
        backbone.collate([{"image": Image.fromarray(p)}])["image"] for p in (np.asarray(row(0)["image"]), pixels)
    )
    embed = backbone.tower("image").model.embeddings
    with torch.no_grad():
        moved = (embed(one) - embed(other)).abs().amax(dim=(0, 2))
    found = on_grid(moved[1:].tolist(), {**grid._asdict(), "places": list(range(1, 17))})
    assert torch.nonzero(found).tolist() == [[0, 3]]


@pytest.mark.parametrize("kind", ["vit", "dinov2", "clip", "siglip", "resnet"])
def test_every_kind_of_picture_encoder_says_how_its_tokens_lie(kind, tmp_path):
    model = classifier(f"image={image_model(kind, tmp_path / kind)}")
    found = explained(model, {"image": row(0)["image"]}, folder=tmp_path)
    layout = found.layout["image"]
    assert layout["kind"] == "grid"
    assert layout["prefix"] + layout["rows"] * layout["columns"] == len(found.relevance["image"])
    assert (tmp_path / "explanation.png").exists()


@pytest.mark.parametrize("kind", [*AUDIO, "timm"])
def test_every_kind_of_sound_encoder_is_drawn(kind, tmp_path):
    model = classifier(f"audio={'test_resnet' if kind == 'timm' else audio_model(kind, tmp_path / 'hub')}")
    found = explained(model, {"audio": row(0)["audio"]}, folder=tmp_path)
    layout = found.layout["audio"]
    waves = kind.startswith(("wav2vec2", "hubert"))
    assert layout["kind"] == ("instants" if waves else "grid")
    if not waves:
        assert "time" in layout["axes"]
        assert max(layout["places"]) < layout["prefix"] + layout["rows"] * layout["columns"]
    drawn = np.asarray(Image.open(tmp_path / "explanation.png").convert("L"))
    assert drawn.std() > 10


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_every_kind_of_text_encoder_is_drawn(kind, tmp_path):
    model = classifier(f"text={text_model(kind, tmp_path / 'hub')}")
    found = explained(model, {"text": "the film was veryly good"}, folder=tmp_path)
    assert [word for word, _ in words(found.layout["text"]["tokens"], found.relevance["text"])] == [
        "the",
        "film",
        "was",
        "veryly",
        "good",
    ]


# files


def test_the_files_hold_the_explanation_and_a_picture_that_is_not_blank(model, tmp_path):
    source = [(row(y), CLASSES[y]) for y in range(3)]
    found = explained(model, row(1), folder=tmp_path / "why", source=source)
    written = json.loads((tmp_path / "why" / "explanation.json").read_text(encoding="utf-8"))
    assert written["modalities"] == found.modalities
    test = written["deletion"]
    assert test["faithful"] == (test["beaten"] >= 0.95 * test["orders"])
    picture = Image.open(tmp_path / "why" / "explanation.png")
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert min(picture.size) > 600
    for band in np.array_split(pixels, 3):  # figures, picture and words, spectrogram: each has ink and colour
        assert (band.sum(axis=2) < 600).mean() > 0.01
        assert (np.ptp(band, axis=2) > 60).mean() > 0.005


def test_long_texts_and_names_and_dollars_are_drawn(models, tmp_path):
    torch.manual_seed(0)
    classes = ["a class with a very long name, longer than there is room for " * 2, "$b$", "c_d^{"]
    request = BackboneRequest(classes, pretrained=False, options=SMALL | {"max_length": 40})
    backbone = resolve(models.named("text"), request).eval()
    model = Classifier(Encoder(backbone), nn.Linear(backbone.info.width, 3)).eval()
    backbone.explain(model, classes, {"text": "$ the film $ was good " * 30}, samples=16, orders=2, folder=tmp_path)
    assert (tmp_path / "explanation.png").exists()
