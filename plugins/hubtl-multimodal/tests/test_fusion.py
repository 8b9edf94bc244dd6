"""Fusion: what is masked or absent says nothing, one linear head is a sum of heads, and nothing drops out of the graph."""

import pytest
import torch
from hubtl_multimodal.fusion import KINDS, Fusion, MaskedBatchNorm
from hubtl_multimodal.fusion.local import attention_bias, transferability, weighted
from hubtl_multimodal.fusion.presence import drop_modalities, masked_mean
from torch import nn

from hubtl import HubtlError

WIDTHS = {"image": 6, "text": 5, "audio": 4}
LENGTHS = {"image": 5, "text": 70, "audio": 3}  # the text is long enough to be resampled


def tokens(rows=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, width in WIDTHS.items():
        values = torch.randn(rows, LENGTHS[name], width, generator=generator)
        ends = torch.randint(2, LENGTHS[name] + 1, (rows, 1), generator=generator)
        found[name] = (values, torch.arange(LENGTHS[name]) < ends)
    return found


def everything(rows=6):
    return {name: torch.ones(rows, dtype=torch.bool) for name in WIDTHS}


def make(kind="bottleneck", **options):
    torch.manual_seed(0)
    fusion = Fusion(WIDTHS, kind=kind, width=8, layers=2, heads=2, bottlenecks=2, latents=4, **options)
    for norm in fusion.norms.values():  # as after some training
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return fusion


def trained_critics(fusion):
    for critic in fusion.critics.values():
        nn.init.normal_(critic.layers[-1].weight)
    return fusion


def joint(fusion, values, present):
    return fusion.joint(fusion(values, present))


@pytest.fixture(params=KINDS)
def fusion(request):
    return trained_critics(make(request.param)).eval()


def test_what_is_masked_changes_nothing(fusion):
    values, present = tokens(), everything()
    junk = {n: (v.masked_fill(~m[..., None], float("nan")), m) for n, (v, m) in values.items()}
    assert torch.equal(joint(fusion, values, present), joint(fusion, junk, present))


def test_a_row_does_not_depend_on_its_batch(fusion):
    values, present = tokens(), everything()
    present["text"][2] = present["audio"][4] = False
    whole = joint(fusion, values, present)
    for row in range(6):
        at = slice(row, row + 1)
        alone = joint(
            fusion, {n: (v[at], m[at]) for n, (v, m) in values.items()}, {n: r[at] for n, r in present.items()}
        )
        assert torch.allclose(whole[at], alone, atol=1e-5)


def test_the_content_of_what_is_absent_changes_nothing(fusion):
    values, present = tokens(), everything()
    present["image"][1] = False
    v, m = values["image"]
    other = values | {
        "image": (v.index_fill(0, torch.tensor([1]), float("inf")), m.index_fill(0, torch.tensor([1]), True))
    }
    before = joint(fusion, values, present)
    assert torch.equal(before, joint(fusion, other, present))
    assert not torch.allclose(before[1], joint(fusion, values, everything())[1])
    assert torch.isfinite(before).all()


def test_a_row_that_is_all_padding_is_absent(fusion):
    values, present = tokens(), everything()
    values["text"][1][3] = False
    out = fusion(values, present)
    assert out.present["text"].tolist() == [True, True, True, False, True, True]
    present["text"][3] = False
    assert torch.equal(fusion.joint(out), joint(fusion, values, present))


def test_rows_without_any_modality_are_finite(fusion):
    values = tokens()
    assert torch.isfinite(joint(fusion, values, {n: torch.zeros(6, dtype=torch.bool) for n in WIDTHS})).all()


def test_one_head_is_the_sum_of_heads(fusion):
    values, present = tokens(), everything()
    present["text"][2] = present["audio"][4] = present["image"][4] = False
    out = fusion(values, present)
    head, places = nn.Linear(fusion.joint_width, 3), fusion.blocks_of()
    expected = head.bias.expand(6, 3).clone()
    if out.fused is not None:
        expected = expected + out.fused @ head.weight[:, places["fused"]].T
    count = torch.stack(list(present.values())).sum(0) if fusion.kind == "late" else torch.ones(6)
    for name in WIDTHS:
        weight = head.weight[:, places[name]]
        own = out.parts[name] @ weight[:, :-1].T + weight[:, -1]
        expected = expected + (present[name].float() / count)[:, None] * own
    assert torch.allclose(head(fusion.joint(out)), expected, atol=1e-5)


def test_a_part_is_of_its_modality_alone(fusion):
    """Otherwise the heads of the modalities could not disagree."""
    values, others = tokens(), tokens(seed=1)
    before, after = fusion(values, everything()), fusion(others | {"audio": values["audio"]}, everything())
    assert torch.equal(before.parts["audio"], after.parts["audio"])
    assert not torch.allclose(before.parts["image"], after.parts["image"])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_change_nothing_before_the_critics_learn(kind):
    fusion, values = make(kind).eval(), tokens()
    out = fusion(values, everything())
    assert all((w == 1).all() for w in out.weights.values())
    assert all((attention_bias(w) == 0).all() for w in out.weights.values())
    z, mask = out.tokens["image"], out.masks["image"]
    assert torch.equal(weighted(z, out.weights["image"], mask), z)
    assert not torch.allclose(fusion.joint(out), joint(trained_critics(fusion), values, everything()))


def test_weights_by_hand():
    logits = torch.tensor([[0.0, 100.0, torch.log(torch.tensor(3.0))]])
    assert transferability(logits)[0].tolist() == pytest.approx([1, 0, 0.811278], abs=1e-5)  # H(3/4) in bits
    shared = weighted(torch.ones(1, 3, 2), torch.tensor([[1.0, 0.0, 0.7]]), torch.tensor([[True, True, False]]))
    assert shared[0, :2, 0].tolist() == pytest.approx([2 / 1.5, 1 / 1.5])


def test_a_token_that_betrays_its_domain_is_attended_to_less():
    bias = attention_bias(torch.tensor([1.0, 0.5, 0.0]))
    share = bias.softmax(0)
    assert (share[1] / share[0]).item() == pytest.approx(0.5, abs=1e-3)
    assert share[2] < 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("absent", [(), ("image",), ("text",), ("audio",), ("image", "text"), tuple(WIDTHS)])
def test_every_parameter_gets_a_gradient_whatever_is_absent(kind, absent):
    fusion, values = make(kind).train(), tokens()
    present = everything() | {name: torch.zeros(6, dtype=torch.bool) for name in absent}
    joint(fusion, values, present).square().sum().backward()
    bare = [name for name, p in fusion.named_parameters() if p.grad is None]
    assert not bare
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_the_bottlenecks_are_means_over_what_is_there():
    values = torch.tensor([[[2.0], [2.0], [2.0]], [[6.0], [6.0], [6.0]]])  # two modalities, three rows
    present = torch.tensor([[True, True, False], [True, False, False]])
    assert masked_mean(values, present)[:, 0].tolist() == [4, 2, 0]


def test_an_absent_modality_leaves_the_bottlenecks_alone():
    """Its null token may be anything: what the others learn through the bottlenecks is the same."""
    fusion, values, present = make().eval(), tokens(), everything()
    present["text"][:] = False
    seen = []
    fusion.blocks[-1].register_forward_pre_hook(lambda m, a: seen.append(a[0]) if a[2] == "audio" else None)
    fusion(values, present)
    nn.init.normal_(fusion.nulls["text"])
    fusion(values, present)
    assert torch.equal(seen[0], seen[1])


def test_statistics_are_of_real_tokens():
    norm = MaskedBatchNorm(2).train()
    values = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [99.0, 99.0]]])
    normal = norm.masked(values, torch.tensor([[True, True, False]]))
    assert normal[0, :, 0].tolist() == pytest.approx([-1, 1, 0], abs=1e-4)
    assert norm.running_mean.tolist() == pytest.approx([0.2, 0.2])
    before = norm.running_mean.clone()
    nothing = norm.masked(values, torch.zeros(1, 3, dtype=torch.bool))
    assert (nothing == 0).all()
    assert torch.equal(before, norm.running_mean)


def test_each_domain_by_itself_is_standardised():
    """Separate forwards of the domains remove a channel's shift and scale."""
    fusion = make().train()
    fusion.modality_dropout = 0.0
    values = tokens(64)
    mask = values["image"][1]
    first = fusion(values, everything(64)).tokens["image"][mask]
    assert first.mean(0).abs().max() < 0.2
    assert (first.std(0) - 1).abs().max() < 0.05


def test_modality_dropout():
    torch.manual_seed(0)
    present = {n: torch.ones(4000, dtype=torch.bool) for n in WIDTHS}
    present["text"][:1000] = False
    present["audio"][:500] = False
    kept = drop_modalities(present, 0.5)
    stacked = torch.stack(list(kept.values()))
    assert stacked.any(0).all()  # never all
    assert not kept["text"][:1000].any()  # nothing comes back
    assert kept["image"][:500].all()  # the last one stays
    # all three gone with p = 1/8; then one of three comes back
    assert kept["image"][1000:].float().mean().item() == pytest.approx(0.5 + 0.125 / 3, abs=0.03)


def test_modality_dropout_is_of_training_alone():
    fusion, values = make(modality_dropout=0.9), tokens(64)
    gone = [not r.all() for r in fusion.train()(values, everything(64)).present.values()]
    assert all(gone)
    assert all(r.all() for r in fusion.eval()(values, everything(64)).present.values())


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_no_modality_says_alone(kind):
    """The class is whether two modalities agree; late fusion, a sum of heads, cannot know it."""
    torch.manual_seed(0)
    fusion = Fusion({"image": 4, "audio": 4}, kind=kind, width=16, heads=2, dropout=0.0, modality_dropout=0.0)
    head = nn.Linear(fusion.joint_width, 2)
    bits = torch.randint(2, (2, 256))
    rows = {n: torch.randn(256, 3, 4) * 0.3 for n in ("image", "audio")}
    for n, bit in zip(rows, bits, strict=True):
        rows[n][:, :, 0] += 2.0 * bit[:, None] - 1
    inputs = {n: (v, torch.ones(256, 3, dtype=torch.bool)) for n, v in rows.items()}
    truth = (bits[0] == bits[1]).long()
    optimizer = torch.optim.Adam([*fusion.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(joint(fusion, inputs, {})), truth).backward()
        optimizer.step()
    accuracy = (head(joint(fusion.eval(), inputs, {})).argmax(1) == truth).float().mean().item()
    assert accuracy > 0.95 if kind != "late" else accuracy < 0.8


def test_refusals():
    with pytest.raises(HubtlError, match="fusion"):
        Fusion(WIDTHS, kind="early")
    with pytest.raises(HubtlError, match="no modality"):
        Fusion({})
    with pytest.raises(HubtlError, match="heads"):
        Fusion(WIDTHS, width=10, heads=4)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind):
    """Under autocast the result is equal but for rounding."""
    fusion, values = make(kind).train(), tokens()
    fusion.modality_dropout = 0.0
    for module in fusion.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    present = everything()
    present["text"][2] = False
    full = joint(fusion, values, present)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = joint(fusion, values, present)
    assert torch.allclose(full, half.float(), atol=0.25)
    assert (full - half.float()).abs().mean() < 0.03


class Positional(nn.Module):
    """Fusion whose inputs are tensors in a row. An exported graph wants them so."""

    def __init__(self, fusion):
        super().__init__()
        self.fusion = fusion

    def forward(self, *flat):
        names, triples = list(WIDTHS), [flat[i : i + 3] for i in range(0, len(flat), 3)]
        values = {n: (v, m) for n, (v, m, _) in zip(names, triples, strict=True)}
        return self.fusion.joint(self.fusion(values, {n: r for n, (_, _, r) in zip(names, triples, strict=True)}))


def test_an_exported_graph_takes_any_batch_and_any_absence():
    network, values, present = Positional(trained_critics(make())).eval(), tokens(), everything()
    present["text"][2] = False
    flat = tuple(x for n, (v, m) in values.items() for x in (v, m, present[n]))
    rows = torch.export.Dim("rows", min=1, max=64)
    exported = torch.export.export(network, flat, dynamic_shapes=(tuple({0: rows} for _ in flat),)).module()
    assert torch.allclose(exported(*flat), network(*flat), atol=1e-5)
    other = [x[:4] for x in flat]
    other[8] = torch.tensor([True, False, False, True])  # other recordings are missing
    assert torch.allclose(exported(*other), network(*other), atol=1e-5)
