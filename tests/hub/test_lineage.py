"""On from a pulled model: adapt, push, pull, adapt to a further domain, push; the card names the whole chain."""

import pytest

from hubtl.backbones.saved import lineage
from hubtl.card import document, names
from hubtl.card import render as rendered
from hubtl.models.trained import trained_classifier
from hubtl.record import RunRecord, Step
from tests import records
from tests.hub.client import classifier, photos

QUICK = ["--steps", "2", "--batch-size", "8", "--device", "cpu", "--image-size", "32", "--set", "run.plots=false",
         "--set", "run.fallback=false", "--quiet"]  # fmt: skip


def test_the_card_names_the_chain_from_the_base_over_each_adaptation(hub, client, tmp_path):
    """Without a source from the base; then, from where that was pushed, with a source to a further domain."""
    amazon, webcam, dslr = (photos(tmp_path / name, i) for i, name in enumerate(("amazon", "webcam", "dslr")))
    commits = [hub.add("someone/office", classifier(tmp_path / "base"))]
    first, second = tmp_path / "first", tmp_path / "second"

    def done(*words: object) -> None:
        result = client.type(*words)
        assert result.code == 0, result.err

    done("adapt", "--model", "someone/office", "--strategy", "shot-im", "--target-dataset", webcam,
         *QUICK, "--output-dir", first, "--push-to-hub", "user/first")  # fmt: skip
    commits.append(hub.repos["user/first"].refs["main"])
    done("adapt", "--model", "user/first", "--strategy", "mcc", "--source-dataset", amazon,
         "--target-dataset", dslr, *QUICK, "--output-dir", second)  # fmt: skip
    done("push", second, "user/second")
    chain = [
        Step(base="someone/office", revision=commits[0], strategy="shot-im", target="webcam"),
        Step(base="user/first", revision=commits[1], strategy="mcc", target="dslr"),
    ]
    made = [RunRecord.load(folder) for folder in (first, second)]
    assert [record.model.lineage for record in made] == [[], chain[:1]]
    assert [names.step(record, record.strategy) for record in made] == chain
    assert trained_classifier(str(second)).backbone.info.lineage == tuple(s.model_dump() for s in chain)

    repos = ("someone/office", "user/first")
    links = [f"[{r}]({hub.url}/{r}/tree/{c})" for r, c in zip(repos, commits, strict=True)]
    cards = [hub.files(repo)["README.md"].decode() for repo in ("user/first", "user/second")]
    assert [document.parse(card).metadata["base_model"] for card in cards] == list(repos)
    assert f"{links[0]}, adapted with `shot-im` to `webcam`" in cards[0]
    assert "lineage" not in cards[0]
    lineage = f"{links[1]} (lineage: {links[0]} → `shot-im` to `webcam`)"
    assert f"{lineage}, adapted with `mcc` from `amazon` (not on the Hub) to `dslr` (not on the Hub)" in cards[1]


def test_a_run_that_goes_on_from_a_folder_keeps_the_chain(tmp_path):
    """The origin of a folder replaces its path, which is private."""
    model = records.gain().model
    made = Step(base=str(model.base_model), revision=model.revision, strategy="dann", target="webcam")
    record = records.gain(model=model.model_copy(update={"name": "first", "lineage": [made]}))
    link = names.weights_link(model)
    assert f"{link} (lineage: {link} → `dann` to `webcam`), adapted with" in rendered(record)
    assert names.step(record, "dann").base == model.base_model


@pytest.mark.parametrize(
    ("meta", "bases"),
    [
        (None, []),
        ("text", []),
        ({"strategy": "dann"}, []),
        ({"strategy": "dann", "base_model": "timm/resnet50", "revision": None}, ["timm/resnet50"]),
        ({"lineage": [{"base": "a/b", "strategy": "mcc", "other": 1}, {"base": 3}, 4]}, ["a/b"]),
    ],
)
def test_a_lineage_that_somebody_wrote_is_read_with_care(meta, bases):
    steps = lineage({"hubtl": meta})
    assert [Step(**step).base for step in steps] == bases


def test_foreign_words_in_a_lineage_are_escaped():
    evil = Step(base="<script>/x", strategy="`](http://evil)", target="a\n# b")
    record = records.gain()
    record.model.lineage = [evil]
    card = rendered(record)
    assert "<script>" not in card
    assert "\n# b" not in card
