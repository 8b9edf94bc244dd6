"""Several sources, and a target of which few labels are read. Each source is compared separately."""

import datasets
import numpy as np
import pytest
import torch

import hubtl
from hubtl import plugins
from hubtl.batch import OF_TARGET, Batch
from hubtl.data import builtin
from hubtl.data.joint import JointSet
from hubtl.data.streams import StepBatches
from hubtl.errors import HubtlError
from hubtl.losses import covariance_gap
from hubtl.strategies.coral import DeepCoral
from hubtl.strategies.dann import DANN
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Additive, Pair, Progress, StrategyOptions, views_of
from tests.tiny import Rows, accuracy, build, domains, train


class Told(Rows):
    """Rows of several domains in memory."""

    def __init__(self, x, y, numbers):
        super().__init__(x, y)
        self.domains = numbers

    def fetch(self, rows, *, seed=None):
        batch = super().fetch(rows, seed=seed)
        return Batch(batch.inputs, batch.labels, batch.index, domain=torch.from_numpy(self.domains[list(rows)]))


def two_sources():
    near, target = domains(degrees=20)
    far, _ = domains(degrees=0, seed=7)
    x = torch.cat([near.x, far.x[:100] * 2])
    numbers = np.r_[np.zeros(len(near), dtype=int), np.ones(100, dtype=int)]
    return Told(x, np.r_[near.labels, far.labels[:100]], numbers), target


def test_a_batch_holds_as_many_rows_of_each_domain_whatever_their_sizes():
    source, target = two_sources()
    batches = StepBatches({"source": source, "target": target}, batch_size=32, seed=0)
    for i in range(40):
        assert batches[i]["source"].domain.bincount().tolist() == [16, 16]
    seen = torch.cat([batches[i]["source"].index for i in range(32)])
    assert set(seen[seen < 512].tolist()) == set(range(512))  # a pass over the larger one


def test_two_ranks_see_the_rows_of_one_with_the_whole_batch():
    source, _ = two_sources()
    one = StepBatches({"source": source}, batch_size=8, seed=3)
    two = [StepBatches({"source": source}, batch_size=4, seed=3, rank=r, world=2) for r in (0, 1)]
    for i in range(5):
        whole = sorted(one[i]["source"].index.tolist())
        assert whole == sorted(b for r in two for b in r[i]["source"].index.tolist())


def test_a_batch_too_small_for_all_domains_is_refused():
    source, _ = two_sources()
    with pytest.raises(HubtlError, match="no room for rows of 2 domains"):
        StepBatches({"source": source}, batch_size=1, seed=0)


def test_joined_sets_give_their_own_rows_in_the_order_asked_for():
    a, b = domains(n=10)
    joint = JointSet([a, b], [0, OF_TARGET])
    batch = joint.fetch([11, 3, 19, 0])
    assert torch.equal(batch.inputs["image"], torch.stack([b.x[1], a.x[3], b.x[9], a.x[0]]))
    assert batch.domain.tolist() == [OF_TARGET, 0, OF_TARGET, 0]
    assert batch.labels.tolist() == [b.labels[1], a.labels[3], b.labels[9], a.labels[0]]
    assert len(joint) == 20


class Gaps(Additive):
    """Notes what it is given."""

    Options = StrategyOptions

    def added(self, pair: Pair, *, at: Progress):
        assert pair.source.domain is None or set(pair.source.domain.tolist()) == {pair.number}
        gap = covariance_gap(pair.zs, pair.zt)
        return gap, {"gap": gap}


def one_step(strategy, source, target):
    return next(strategy.step(source, target, at=Progress(0, 0, 0, 0.0)))


def test_each_source_is_held_against_the_target_by_itself():
    source, target = two_sources()
    strategy = build(Gaps)
    strategy.task.source_domains = ["near", "far"]
    batch = StepBatches({"source": source, "target": target}, batch_size=32, seed=0)[0]
    loss = one_step(strategy, batch["source"], batch["target"])
    z = {name: strategy.encode(b).pooled for name, b in batch.items()}
    own = [covariance_gap(z["source"][batch["source"].domain == k], z["target"]) for k in (0, 1)]
    assert loss.logs["gap"].item() == pytest.approx((own[0] + own[1]).item() / 2, rel=1e-4)


def test_labelled_target_rows_are_classified_and_not_aligned():
    source, target = domains()
    few = Rows(target.x[:6], target.labels[:6])
    joint = JointSet([source, few], [0, OF_TARGET])
    batch = StepBatches({"source": joint, "target": Rows(target.x, None)}, batch_size=32, seed=0)[0]
    strategy = build(DeepCoral, weight=0.0)
    loss = one_step(strategy, batch["source"], batch["target"])
    logits = strategy.head(strategy.encode(batch["source"]).pooled)
    assert loss.total.item() == pytest.approx(strategy.task.loss(logits, batch["source"].labels).item(), rel=1e-4)
    rows = batch["source"].domain == 0
    z, zt = strategy.encode(batch["source"]).pooled[rows], strategy.encode(batch["target"]).pooled
    assert loss.logs["gap"].item() == pytest.approx(covariance_gap(z, zt).item(), rel=1e-3)


def test_a_critic_has_a_verdict_for_each_source():
    from hubtl.modules import Bottleneck, Encoder
    from hubtl.tasks.classification import Classification
    from tests.tiny import Flat

    task = Classification(["a", "b"])
    task.source_domains = ["near", "far"]
    encoder = Encoder(Flat(), Bottleneck(32, 16))
    strategy = DANN(encoder, task.head(16), task, DANN.Options(critic_width=64))
    assert strategy.critic(torch.randn(4, 16), 1).shape == (4,)
    source, target = two_sources()
    trace = train(strategy, {"source": source, "target": Rows(target.x, None)}, steps=40)
    assert trace.curves[-1]["critic_accuracy"] > 0.5
    rows = strategy.critic.layers[-1].weight
    assert not torch.equal(rows[0], rows[1])


def test_a_few_labels_help_where_there_are_no_other_ones():
    """The target is the source with its classes exchanged: only labels can tell."""
    source, _ = domains()
    target = Rows(source.x, 1 - source.labels)
    few = Rows(target.x[:16] + 6.0, target.labels[:16])  # a corner of its own
    far = Rows(target.x + 6.0, target.labels)
    without, with_few = build(SourceOnly), build(SourceOnly)
    train(without, {"source": source}, steps=150)
    train(with_few, {"source": JointSet([source, few], [0, OF_TARGET])}, steps=150)
    assert accuracy(without, far) < 0.6
    assert accuracy(with_few, far) > 0.9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two of the built-in digits' domains and a third. The third is dark; all are in one dataset."""
    where = tmp_path_factory.mktemp("digits")
    mnist = builtin.load("builtin:digits/mnist")
    for split in ("train", "test"):
        part = mnist[split].select(range(900))
        kinds = [("mnist", "half", "dark")[i % 3] for i in range(len(part))]
        changed = [
            image if kind == "mnist" else image.point([v // (2 if kind == "half" else 4) for v in range(256)])
            for image, kind in zip(part["image"], kinds, strict=True)
        ]
        rows = {"image": changed, "label": part["label"], "domain": kinds}
        features = datasets.Features(
            {"image": datasets.Image(), "label": part.features["label"], "domain": datasets.Value("string")}
        )
        datasets.Dataset.from_dict(rows, features=features).to_parquet(where / f"{split}-0.parquet")
    return where


def common(folder, tmp_path):
    return {
        "model": "lenet",
        "pretrained": False,
        "source_dataset": str(folder),
        "target_dataset": str(folder),
        "options": {"data.domain_column": "domain", "run.plots": False},
        "target_domain": "dark",
        "steps": 12,
        "output_dir": str(tmp_path / "run"),
    }


def test_several_source_domains_end_to_end(folder, tmp_path):
    run = hubtl.adapt(**common(folder, tmp_path), source_domain=["mnist", "half"], strategy="cdan+mcc")
    assert run.record.source.domains == ["mnist", "half"]
    assert run.record.source.rows == 600
    assert set(run.record.adapted.source_accuracies) == {"mnist", "half"}
    card = (run.output_dir / "README.md").read_text()
    assert "mnist + half" in card
    assert "| half |" in card
    again = hubtl.adapt(str(run.output_dir / "recipe.yaml"), output_dir=str(tmp_path / "again"))
    assert (again.output_dir / "model.safetensors").read_bytes() == (run.output_dir / "model.safetensors").read_bytes()


def test_one_source_domain_in_a_list_is_one(folder, tmp_path):
    run = hubtl.adapt(**common(folder, tmp_path), source_domain=["mnist"], strategy="source-only")
    assert run.record.source.domains == []
    assert run.record.source.domain == "mnist"


def test_an_unknown_source_domain_is_named(folder, tmp_path):
    with pytest.raises(HubtlError, match="hlaf") as error:
        hubtl.adapt(**common(folder, tmp_path), source_domain=["mnist", "hlaf"])
    assert "half" in error.value.hint


@pytest.mark.parametrize("strategy", ["mcc", "shot", "linear-head"])
def test_few_target_labels_end_to_end(folder, tmp_path, strategy, monkeypatch):
    """Training reads the labels of so many rows of each class; the card says so."""
    from hubtl.modalities.image.rows import ImageSet

    known = []
    whole = ImageSet.__init__

    def noted(self, dataset, column, *, labels, name, **rest):
        known.append((name, None if labels is None else np.asarray(labels)))
        whole(self, dataset, column, labels=labels, name=name, **rest)

    monkeypatch.setattr(ImageSet, "__init__", noted)
    tuner = {"tuner": "head", "strategy": "mcc"} if strategy == "linear-head" else {"strategy": strategy}
    run = hubtl.adapt(**common(folder, tmp_path), source_domain="mnist", target_labels_per_class=3, **tuner)
    few = [labels for name, labels in known if "labelled" in name]
    assert few
    assert all(np.bincount(labels).tolist() == [3] * 10 for labels in few)
    assert next(labels for name, labels in known if name.endswith("/train")) is None  # the target's stream
    assert run.record.target_labels == "few"
    card = (run.output_dir / "README.md").read_text()
    assert "3 rows of each class" in card
    assert "semi-supervised" in card


def test_few_labels_without_a_source_are_few_shot_transfer(folder, tmp_path):
    given = common(folder, tmp_path)
    del given["source_dataset"]
    run = hubtl.adapt(**given, strategy="finetune", target_labels_per_class=2)
    assert run.record.training.steps == 12
    assert run.record.target_labels == "training"
    assert run.record.target_few == 2
    assert "2 rows of each class" in (run.output_dir / "README.md").read_text()


def test_few_labels_of_an_unlabelled_target_are_refused(folder, tmp_path):
    bare = datasets.Dataset.from_parquet(str(folder / "train-0.parquet")).remove_columns("label")
    bare.to_parquet(tmp_path / "bare" / "train-0.parquet")
    given = common(folder, tmp_path) | {"target_dataset": str(tmp_path / "bare")}
    with pytest.raises(HubtlError, match="no labels"):
        hubtl.adapt(**given, source_domain="mnist", strategy="mcc", target_labels_per_class=2)


def test_every_added_loss_takes_several_sources():
    source, target = two_sources()
    for name, entry in plugins.entries("strategies").items():
        cls = entry.load() if entry.builtin else SourceOnly
        if issubclass(cls, Additive) and not cls.unknown:
            strategy = build(cls, bottleneck=8)
            if any(views_of(strategy.phases()).values()):
                continue
            strategy.task.source_domains = ["near", "far"]
            if hasattr(strategy, "critic"):
                strategy = type(strategy)(strategy.encoder, strategy.head, strategy.task, strategy.options)
            batch = StepBatches({"source": source, "target": target}, batch_size=32, seed=0)[0]
            loss = one_step(strategy, batch["source"], batch["target"].sealed())
            assert torch.isfinite(loss.total), name
