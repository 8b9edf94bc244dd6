"""Methods on frozen features: their algebra by hand, shifts that they mend, and runs that make no second encoder pass."""

import math

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn

import hubtl
from hubtl.data import cache
from hubtl.errors import HubtlError
from hubtl.losses import entropy
from hubtl.modules import Bottleneck, Classifier, Encoder, fold
from hubtl.strategies.featurespace import maps
from hubtl.strategies.featurespace.coral import CoralTransform
from hubtl.strategies.featurespace.knn import KNN
from hubtl.strategies.featurespace.ot import OTPropagation, entropic_plan, shares, spread
from hubtl.strategies.featurespace.regression import regress
from hubtl.strategies.featurespace.standardise import Standardise
from hubtl.strategies.featurespace.subspace import SubspaceAlignment
from hubtl.strategies.source_only import SourceOnly
from hubtl.strategy import Progress, Swept
from hubtl.tasks.classification import Classification
from tests.tiny import Rows, accuracy, sealed, train

METHODS = [Standardise, CoralTransform, SubspaceAlignment, OTPropagation, KNN]
START = Progress(0, 0, 0, 0.0)


class Through(nn.Module):
    """A backbone whose features are its inputs."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.info = type("Info", (), {"width": width, "pretrained": False})()

    def forward(self, inputs, present=None):
        return hubtl.Features(inputs["image"] * self.weight)


def build(cls, width, *, classes="ab", bottleneck=0, **options):
    torch.manual_seed(0)
    encoder = Encoder(Through(width), Bottleneck(width, bottleneck) if bottleneck else None)
    task = Classification(list(classes))
    return cls(encoder, task.head(encoder.width), task, cls.Options(**options))


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clouds(n, centres, spread, seed):
    """Rows around a centre for each class, in turn."""
    y = torch.arange(n) % len(centres)
    x = torch.tensor(centres)[y] + draw(n, len(spread), seed=seed) * torch.tensor(spread)
    return Rows(x, y.numpy())


def turned(rows, degrees, columns=(0, 1)):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x = rows.x.clone()
    x[:, list(columns)] = x[:, list(columns)] @ torch.tensor([[c, s], [-s, c]])
    return Rows(x, rows.labels)


def scores(cls, source, target, **options):
    """Accuracy on the target of source-only and of a method.

    Source-only's backbone is frozen; the method never saw target labels.
    """
    streams = {"source": source, "target": sealed(target)}
    width, classes = source.x.shape[1], "abcd"[: source.labels.max() + 1]
    plain = build(SourceOnly, width, classes=classes)
    plain.encoder.backbone.requires_grad_(False)
    train(plain, streams, steps=400, optim={"lr": 0.1})
    strategy = build(cls, width, classes=classes, **options)
    train(strategy, streams)
    assert accuracy(plain, source) > 0.95
    return accuracy(plain, target), accuracy(strategy, target)


# the algebra


def test_standardised_rows_have_zero_mean_and_unit_variance():
    x = torch.tensor([[1.0, 10.0, 7.0], [3.0, 30.0, 7.0]], dtype=torch.float64)
    scale = maps.standardisation(x)
    assert scale.mean.tolist() == [2, 20, 7]
    assert scale.std[:2].tolist() == [1, 10]
    # what does not vary counts as 1e-4 of the mean variance, (1 + 100 + 0) / 3
    assert scale.std[2].item() == pytest.approx(math.sqrt(1e-4 * 101 / 3))
    assert scale(x).tolist() == [[-1, -1, 0], [1, 1, 0]]


def test_where_nothing_varies_nothing_is_divided():
    assert maps.standardisation(torch.full((3, 2), 5.0)).std.tolist() == [1, 1]


def test_recolouring_by_hand():
    """Variances 4 and 1 become 9 and 16 by 3/2 and 4."""
    source = torch.tensor([[2.0, 1], [2, -1], [-2, 1], [-2, -1]], dtype=torch.float64)
    target = torch.tensor([[3.0, 4], [3, -4], [-3, 4], [-3, -4]], dtype=torch.float64)
    assert torch.allclose(maps.recolouring(source, target, 0.0), torch.diag(torch.tensor([1.5, 4.0]).double()))
    # a ridge of 5: (4 + 5, 1 + 5) become (9 + 5, 16 + 5)
    expected = torch.diag(torch.tensor([14 / 9, 21 / 6]).double().sqrt())
    assert torch.allclose(maps.recolouring(source, target, 5.0), expected)


@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_recoloured_rows_have_the_targets_covariance_up_to_the_ridge(ridge):
    source, target = (draw(200, 5, seed=s).double() @ draw(5, 5, seed=s + 9).double() for s in (1, 2))
    a = maps.recolouring(source, target, ridge)
    identity = ridge * torch.eye(5).double()
    assert torch.allclose(a.T @ (maps.covariance(source) + identity) @ a, maps.covariance(target) + identity)
    gap = (maps.covariance(source @ a) - maps.covariance(target)).abs().max()
    assert gap < 1e-9 if ridge == 0 else gap > 1e-3


def test_without_a_ridge_directions_without_variance_stay_without():
    source, target = draw(3, 6, seed=1).double(), draw(3, 6, seed=2).double()  # of rank 2
    a = maps.recolouring(source, target, 0.0)
    assert torch.isfinite(a).all()
    assert a.abs().max() < 1e3


def test_subspaces_are_aligned_by_hand():
    """The first direction is x in the source, diagonal in the target: M is cos 45°."""
    source = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]], dtype=torch.float64)
    target = torch.tensor([[2.0, 2], [-2, -2], [0.5, -0.5], [-0.5, 0.5]], dtype=torch.float64)
    strategy = build(SubspaceAlignment, 2, dimension=80)
    fit = strategy.fit(source, torch.tensor([0, 1, 0, 1]), target)
    sign = torch.sign(fit.basis[0, 0])
    assert torch.allclose(sign * fit.basis.flatten(), torch.tensor([0.5, 0.5]).double().sqrt())
    expected = torch.tensor([3.0, -3, 0, 0]).double() * math.cos(math.pi / 4)
    assert torch.allclose(sign * fit.rows.flatten(), expected)


def test_ot_labels_of_three_points():
    """Two source rows at 0 and 10, three target rows; these are at 1, 9 and 5: the middle one gets half of each."""
    source, target = torch.tensor([[0.0], [10.0]]).double(), torch.tensor([[1.0], [9.0], [5.0]]).double()
    for regularisation, tolerance in ((0.0, 1e-9), (0.01, 1e-4)):
        strategy = build(OTPropagation, 1, regularisation=regularisation)
        rows, found = strategy.propagate(source, torch.tensor([0, 1]), target)
        assert torch.equal(rows, target)
        expected = torch.tensor([[1, 0], [0, 1], [0.5, 0.5]]).double()
        assert torch.allclose(found, expected, atol=tolerance)


def test_the_entropic_plan_has_its_marginals_and_its_closed_form():
    """Between two points each the plan is [[p, q], [q, p]]. Here p/q = exp(c/ε)."""
    plan = entropic_plan(torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double(), 0.5)
    assert torch.allclose(plan.sum(0), torch.tensor([0.5, 0.5]).double())
    assert plan[0, 0] / plan[0, 1] == pytest.approx(math.exp(1 / 0.5), rel=1e-4)


def test_the_unit_of_a_cost_is_what_its_rows_and_columns_do_not_share():
    cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()
    assert spread(cost) == pytest.approx(0.5)
    assert spread(cost + torch.tensor([[100.0], [7.0]]) + torch.tensor([[3.0, -50.0]])) == pytest.approx(0.5)


@pytest.mark.parametrize("width", [2, 500])
def test_labels_that_travel_are_sure_whatever_the_number_of_features(width):
    centre = torch.zeros(2, width)
    centre[:, 0] = torch.tensor([-3.0, 3.0]) * max(1, width / 10) ** 0.5
    y = torch.arange(200) % 2
    source, target = (centre[y] + draw(200, width, seed=s) for s in (0, 1))
    _, found = build(OTPropagation, width).propagate(source.double(), y, target.double())
    assert found[torch.arange(200), y].mean() > 0.9


def test_costs_of_any_size_do_not_underflow():
    cost = 1e6 + 1e3 * draw(30, 20).double().square()
    plan = entropic_plan(cost, 0.5)
    assert torch.isfinite(plan).all()
    assert plan.sum().item() == pytest.approx(1, abs=1e-3)


def test_a_target_row_that_no_mass_reaches_gets_the_mean():
    found = shares(torch.tensor([[0.5, 0.0], [0.5, 0.0]]), torch.tensor([[1, 0], [0, 1]]))
    assert found.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_more_rows_than_the_limit_are_drawn_and_the_same_ones_each_time():
    source, target = clouds(60, [[-5.0], [5.0]], [1.0], 0), clouds(50, [[-5.0], [5.0]], [1.0], 1)
    strategy = build(OTPropagation, 1, rows=20)
    first, second = (strategy.propagate(source.x, torch.from_numpy(source.labels), target.x) for _ in range(2))
    assert len(first[0]) == 20
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_neighbours_vote_by_hand():
    source = torch.tensor([[0.0], [1.0], [2.0], [9.0]]).double()
    strategy = build(KNN, 1, classes="abc", neighbours=3, metric="euclidean")
    _, found = strategy.propagate(source, torch.tensor([0, 0, 2, 2]), torch.tensor([[0.5], [8.0]]).double())
    assert torch.allclose(found, torch.tensor([[2 / 3, 0, 1 / 3], [1 / 3, 0, 2 / 3]]).double())


def test_the_classifier_is_scikit_learns_logistic_regression():
    x, y = draw(120, 4), torch.arange(120) % 3
    x[:, 0] += y
    linear, reached = regress(x, y, 3, nn.functional.cross_entropy, 0.01)
    theirs = LogisticRegression(C=1 / (0.01 * 120), tol=1e-8, max_iter=1000).fit(x.numpy(), y.numpy())
    assert np.allclose(linear.weight.detach().numpy(), theirs.coef_, atol=2e-3)
    assert np.allclose(linear(x).softmax(1).detach().numpy(), theirs.predict_proba(x.numpy()), atol=2e-3)
    assert reached == pytest.approx(nn.functional.cross_entropy(linear(x), y).item())


def test_shares_are_fitted_as_repeated_rows_would_be():
    x = draw(40, 3)
    part = torch.rand(40, generator=torch.Generator().manual_seed(3))
    soft, _ = regress(x, torch.stack([part, 1 - part], 1), 2, nn.functional.cross_entropy, 0.1)
    # of two classes scikit-learn fits the difference alone, whose square is twice the sum of both squares
    theirs = LogisticRegression(C=2 / (0.1 * 40), tol=1e-8)
    theirs.fit(np.tile(x.numpy(), (2, 1)), [0] * 40 + [1] * 40, sample_weight=torch.cat([part, 1 - part]).numpy())
    ours = soft(x).softmax(1)[:, 1].detach().numpy()
    assert np.allclose(ours, theirs.predict_proba(x.numpy())[:, 1], atol=5e-3)


# what they mend


def test_standardise_mends_a_shift_and_a_scale():
    source = clouds(400, [[-2.0, 0.0], [2.0, 0.0]], [0.6, 0.6], 0)
    target = clouds(400, [[-2.0, 0.0], [2.0, 0.0]], [0.6, 0.6], 1)
    target = Rows(target.x * torch.tensor([5.0, 0.2]) + torch.tensor([20.0, -3.0]), target.labels)
    plain, adapted = scores(Standardise, source, target)
    assert plain < 0.6
    assert adapted > 0.98


def test_coral_mends_correlations_that_standardising_leaves():
    """Classes along x; in the target they and a loud nuisance are mixed into both features."""
    source = clouds(600, [[-2.0, 0.0], [2.0, 0.0]], [0.5, 4.0], 0)
    target = clouds(600, [[-2.0, 0.0], [2.0, 0.0]], [0.5, 4.0], 1)
    mixing = torch.tensor([[1.0, 0.6], [0.6, 1.0]])
    target = Rows(target.x @ mixing, target.labels)
    plain, adapted = scores(CoralTransform, source, target, ridge=0.01)
    _, scaled = scores(Standardise, source, target)
    assert max(plain, scaled) < 0.85
    assert adapted > 0.95


def test_subspace_alignment_mends_a_turn_of_the_principal_directions():
    """The classes lie along the loudest direction; the target's is turned by 60°, and a nuisance lies across it."""
    plane = 0.5 * torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1]])
    source, target = clouds(600, [[-3.0, 0], [3.0, 0]], [0.3, 0.3], 0), clouds(600, [[-3.0, 0], [3.0, 0]], [0.3, 2], 1)
    source = Rows(source.x @ plane + 0.1 * draw(600, 4, seed=2), source.labels)
    target = Rows(turned(target, 60).x @ plane + 0.1 * draw(600, 4, seed=3), target.labels)
    plain, adapted = scores(SubspaceAlignment, source, target, dimension=1)
    _, scaled = scores(Standardise, source, target)
    assert max(plain, scaled) < 0.85
    assert adapted > 0.95


def test_transport_follows_clouds_that_have_turned():
    centres = [[-4.0, 0.0], [4.0, 0.0], [0.0, 9.0]]
    source, target = clouds(600, centres, [0.8, 2.5], 0), turned(clouds(600, centres, [0.8, 2.5], 1), 40)
    plain, adapted = scores(OTPropagation, source, target)
    assert adapted > plain + 0.1


def test_neighbours_find_the_boundary_of_rows_that_were_rare_in_the_source():
    """Four clouds crosswise, one of them rare: no line parts the source's, and the target has the upper two alone."""
    corners = torch.tensor([[-3.0, -3.0], [3.0, 3.0], [3.0, -3.0], [-3.0, 3.0]])
    of_source, of_target = torch.arange(600) % 3, 1 + 2 * (torch.arange(200) % 2)
    of_source[:18] = 3
    source = Rows(corners[of_source] + 0.5 * draw(600, 2), (of_source // 2).numpy())
    target = Rows(corners[of_target] + 0.5 * draw(200, 2, seed=1), (of_target // 2).numpy())
    plain, adapted = scores(KNN, source, target)
    assert plain < 0.6
    assert adapted > 0.98


def test_propagation_may_scale_each_domain_by_itself():
    source, target = (clouds(300, [[-2.0, 0.0], [2.0, 0.0]], [0.5, 0.5], seed) for seed in (0, 1))
    target = Rows(target.x + torch.tensor([20.0, 0.0]), target.labels)
    _, common = scores(KNN, source, target)
    _, apart = scores(KNN, source, target, scaling="domain")
    assert common < 0.6
    assert apart > 0.98


# how they fit in


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize("bottleneck", [0, 3])
def test_what_is_deployed_is_the_map_and_the_classifier_in_one_layer(cls, bottleneck):
    """Return the classifier's outputs on mapped rows. They may be reduced to principal components."""
    source, target = clouds(80, [[-2.0, 0, 0, 0], [2.0, 1, 0, 0]], [0.5, 1, 2, 1], 0), draw(60, 4, seed=5) * 3 + 2
    strategy = build(cls, 4, bottleneck=bottleneck, **({"dimension": 2} if cls is SubspaceAlignment else {}))
    seen = {}
    inner = strategy.fit

    def noted(zs, ys, zt):
        seen["target"], seen["fit"] = zt, inner(zs, ys, zt)
        return seen["fit"]

    object.__setattr__(strategy, "fit", noted)
    train(strategy, {"source": source, "target": Rows(target, None)})
    fit = seen["fit"]
    linear, reached = regress(fit.rows, fit.labels, 2, strategy.task.loss, strategy.options.penalty)
    mapped = seen["target"] if fit.basis is None else seen["target"] @ fit.basis
    deployed = strategy.deployed().eval()
    with torch.no_grad():
        assert torch.allclose(deployed({"image": target}), linear(mapped.float()), atol=1e-3)
        folded = fold(deployed.encoder.bottleneck, deployed.head)
        assert torch.allclose(folded(target), deployed({"image": target}), atol=1e-5)
    assert seen["target"].shape[1] == (bottleneck or 4)
    assert float(strategy.reached) == pytest.approx(reached, abs=1e-6)


@pytest.mark.parametrize("cls", METHODS)
def test_a_finished_fit_is_resumed_without_a_look_at_the_data(cls, tmp_path):
    class Forbidden(Rows):
        def fetch(self, rows, *, seed=None):
            raise AssertionError("the data were opened")

    source, target = (clouds(64, [[-2.0, 0.0], [2.0, 0.0]], [0.6, 0.6], s) for s in (0, 1))
    whole, again = build(cls, 2), build(cls, 2)
    train(whole, {"source": source, "target": sealed(target)}, folder=tmp_path)
    trace = train(
        again,
        {"source": Forbidden(source.x, source.labels), "target": Forbidden(target.x, None)},
        folder=tmp_path,
        resume=True,
    )
    assert trace.resumed == 1
    assert torch.equal(again.classifier.weight, whole.classifier.weight)
    assert torch.equal(again.reached, whole.reached)


@pytest.mark.parametrize("cls", METHODS)
def test_a_source_with_one_class_and_a_target_with_one_row_do_not_break_it(cls):
    source = Rows(draw(20, 3), np.zeros(20, dtype=np.int64))
    strategy = build(cls, 3)
    train(strategy, {"source": source, "target": Rows(draw(1, 3, seed=1), None)})
    assert accuracy(strategy, source) == 1  # one class is all that was shown
    assert torch.isfinite(strategy.classifier.weight).all()


@pytest.mark.parametrize("cls", METHODS)
def test_a_sealed_source_and_features_that_are_not_finite_are_refused(cls):
    rows = clouds(20, [[-2.0], [2.0]], [0.5], 0)
    with pytest.raises(HubtlError, match="sealed"):
        train(build(cls, 1), {"source": sealed(rows), "target": sealed(rows)})
    broken = Rows(rows.x / 0, None)
    with pytest.raises(HubtlError, match="features of the target that are not finite"):
        train(build(cls, 1), {"source": rows, "target": broken})


def test_the_tasks_own_loss_is_what_is_minimised():
    source, target = (clouds(64, [[-2.0], [2.0]], [0.3], s) for s in (0, 1))
    plain, smooth = build(Standardise, 1), build(Standardise, 1)
    smooth.task = Classification(["a", "b"], Classification.Options(label_smoothing=0.4))
    for strategy in (plain, smooth):
        train(strategy, {"source": source, "target": sealed(target)})
    with torch.no_grad():
        unsure = [float(entropy(s.deployed()({"image": target.x})).mean()) for s in (plain, smooth)]
    assert unsure[1] > unsure[0] + 0.1


def test_two_halves_of_a_sweep_are_never_mixed_up():
    """Labels belong to the source's rows in the order of the sweep."""
    strategy = build(Standardise, 1)
    x = torch.tensor([[-1.0], [1.0], [-2.0], [2.0]])
    swept = {"source": Swept(x, x, torch.tensor([0, 1, 0, 1])), "target": Swept(x + 5, x, None)}
    strategy.solve(swept.__getitem__, START)
    assert strategy.classifier(torch.tensor([[4.0], [6.0]])).argmax(1).tolist() == [0, 1]


# whole runs


DIGITS = {"model": "lenet", "pretrained": False, "source_dataset": "builtin:digits/mnist", "device": "cpu"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path / "home"))


def digits(tmp_path, name, strategy, **options):
    options = {"run.plots": False, "run.steps": 100, **options}
    return hubtl.adapt(
        **DIGITS,
        target_dataset="builtin:digits/uci",
        strategy=strategy,
        output_dir=str(tmp_path / name),
        options=options,
    )


@pytest.mark.slow
def test_all_of_them_and_their_baselines_run_on_one_encoder_pass(tmp_path, home, caplog):
    from hubtl.studies.evaluate import measure

    names = ("standardise", "coral-transform", "subspace-alignment", "ot-propagation", "knn")
    passes, runs = [], []
    for name in names:
        caplog.clear()
        with caplog.at_level("INFO"):
            runs.append(digits(tmp_path, name, name))
        passes.append(caplog.text.count("one pass over"))
    assert passes == [4, 0, 0, 0, 0]  # training and evaluation rows of both domains
    assert len(cache.entries()) == 4
    for name, run in zip(names, runs, strict=True):
        record = run.record
        assert record.model.tuner == "head"
        assert record.model.trained_parameters == 0
        assert record.training.steps == 1
        assert record.selection.rule == "last"
        assert not record.selection.oracle
        assert record.source_only == runs[0].record.source_only
        assert record.adapted.accuracy > 2 / 10
        figures = measure(str(run.output_dir), "builtin:digits/uci")
        assert figures.accuracy == pytest.approx(record.adapted.accuracy, abs=2 / 600), name


def relabelled(path, shift):
    """Sixty images in a file; every label is moved on by ``shift``."""
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)) for _ in range(60)]
    rows = Dataset.from_dict({"image": images, "label": [str((i + shift) % 10) for i in range(60)]})
    rows.cast_column("image", datasets.Image()).class_encode_column("label").to_parquet(path)
    return str(path)


def test_a_plan_says_that_one_step_looks_at_everything(tmp_path, home, caplog):
    with caplog.at_level("INFO"):
        digits(tmp_path, "run", "coral-transform")
    assert "phase 1    fit: 1 step on all of source + target; nothing learns by gradient" in caplog.text
    assert "Phase 1, fit: 1 step; sees source and target; learns nothing by gradient." in (
        tmp_path / "run" / "README.md"
    ).read_text(encoding="utf-8")


def test_target_labels_change_nothing(tmp_path, home):
    """Images with wrong target labels, the same weights: they are not read."""
    weights = []
    for shift in (0, 1):
        target = {"target.dataset": relabelled(tmp_path / f"{shift}.parquet", shift), "target.eval_split": "train"}
        made = digits(tmp_path, f"run{shift}", "knn", **target)
        assert made.record.target.labelled
        weights.append((made.output_dir / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_tuner_that_would_train_the_backbone_is_refused(tmp_path):
    with pytest.raises(HubtlError, match="standardise never trains the backbone, and --tuner full") as caught:
        digits(tmp_path, "run", "standardise", **{"tuner.name": "full"})
    assert caught.value.hint
    assert not (tmp_path / "run").exists()


def test_the_recipe_of_a_run_runs_again(tmp_path, home):
    first = digits(tmp_path, "a", "coral-transform", ridge=0.5)
    second = hubtl.adapt(recipe=str(first.output_dir / "recipe.yaml"), output_dir=str(tmp_path / "b"))
    assert second.record.adapted == first.record.adapted


def test_deployed_without_training_is_a_classifier_all_the_same():
    assert isinstance(build(KNN, 3).deployed(), Classifier)
