"""Recipes and flags."""

from pathlib import Path

from tests.hostile.kit import LENET, Corpus, transfer, tree

RECIPES = Corpus()

TEXTS = {  # recipes that are refused, and what the refusal names
    "nothing": ("", r"."),
    "a list": ("- a\n- b\n", r"."),
    "a number": ("7\n", r"."),
    "a tab": ("model:\n\tname: lenet\n", r"(?i)line 2|yaml"),
    "an unclosed bracket": ("model: {name: lenet\n", r"(?i)yaml|line"),
    "a Python object": ("model: !!python/object/apply:os.system ['true']\n", r"(?i)yaml|tag"),
    "aliases of aliases": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        r"(?i)alias",
    ),
    "deep brackets": ("model: " + "[" * 20000 + "]" * 20000 + "\n", r"(?i)nest|deep|yaml"),
    "a key twice": ("model: lenet\nmodel: resnet18\ntarget: x\n", r"model"),
    "unknown sections": ("modle: lenet\ntarget: x\n", r"modle"),
    "no text": (b"\xff\xfe\x00\x01".decode("latin-1") + "\0", r"."),
    "a number for a name": ("model: {name: 7}\ntarget: x\n", r"model"),
    "a list for a section": ("model: lenet\ntarget: x\noptim: [1]\n", r"optim"),
    "a model that contains itself": ("model: &m {name: *m}\ntarget: x\n", r"."),
}
for _name, (_text, _says) in TEXTS.items():

    @RECIPES.refused(f"a recipe of {_name}", _says)
    def _(root: Path, text: str = _text) -> list[str]:
        (root / "recipe.yaml").write_text(text, encoding="utf-8")
        return ["adapt", str(root / "recipe.yaml"), "--dry-run"]


@RECIPES.refused("a recipe that is not there", r"recipe\.yaml")
def missing(root: Path) -> list[str]:
    return ["adapt", str(root / "recipe.yaml"), "--dry-run"]


@RECIPES.refused("a recipe that is a folder", r"recipe\.yaml")
def folder(root: Path) -> list[str]:
    (root / "recipe.yaml").mkdir()
    return ["adapt", str(root / "recipe.yaml"), "--dry-run"]


@RECIPES.refused("a recipe that never ends", r"/dev/zero")
def endless(root: Path) -> list[str]:
    return ["adapt", "/dev/zero", "--dry-run"]


SETTINGS = (
    "optim.lr=nan",
    "optim.lr=inf",
    "optim.lr=-1",
    "optim.lr=0",
    "optim.lr=fast",
    "optim.momentum=2",
    "optim.weight_decay=-1",
    "run.steps=0",
    "run.steps=-5",
    "run.steps=1e30",
    "run.steps=1.5",
    "run.steps=true",
    "run.batch_size=0",
    "run.batch_size=-1",
    "run.batch_size=1000000000000",
    "run.seed=-1",
    "run.seed=1e40",
    "run.gradient_accumulation_steps=0",
    "run.evaluate_every=0",
    "run.checkpoint_every=-1",
    "data.num_workers=-1",
    "data.num_workers=100000",
    "model.image_size=0",
    "model.image_size=-32",
    "model.image_size=10000000",
    "model.bottleneck=-1",
    "strategy.options.no_such=1",
    "strategy.name=no-such",
    "tuner.name=no-such",
    "no.such.key=1",
    "nonsense",
    "=1",
)
for _setting in SETTINGS:

    @RECIPES.refused(f"--set {_setting}", r".")
    def _(root: Path, setting: str = _setting) -> list[str]:
        return transfer(tree(root / "data", {"cat": 4, "dog": 4}), "--set", setting)


FLAGS = (
    ("--steps", "ten"),
    ("--batch-size", "1e9"),
    ("--image-size", "big"),
    ("--device", "quantum"),
    ("--mixed-precision", "fp8"),
    ("--target-split", "nowhere"),
    ("--target-split", "train[:0%]"),
    ("--target-split", "train[9:1]"),
    ("--target-eval-split", "nowhere"),
    ("--domain-column", "nowhere", "--target-domain", "x"),
    ("--image-column", "nowhere"),
    ("--frobnicate",),
    ("--strategy",),
)
for _flags in FLAGS:

    @RECIPES.refused(" ".join(_flags), r".")
    def _(root: Path, flags: tuple[str, ...] = _flags) -> list[str]:
        return transfer(tree(root / "data", {"cat": 4, "dog": 4}), *flags)


@RECIPES.refused("neither model nor data", r".")
def nothing(root: Path) -> list[str]:
    return ["adapt", "--dry-run"]


@RECIPES.refused("a file in the place of the output directory", r"out")
def output_is_a_file(root: Path) -> list[str]:
    (root / "out").write_text("mine")
    data = tree(root / "data", {"cat": 4, "dog": 4})
    return ["adapt", *LENET, "--target-dataset", str(data), "--strategy", "finetune", "--output-dir", str(root / "out")]


@RECIPES.refused("an output directory with somebody's files", r"out")
def output_is_not_empty(root: Path) -> list[str]:
    (root / "out").mkdir()
    (root / "out" / "thesis.txt").write_text("mine")
    data = tree(root / "data", {"cat": 4, "dog": 4})
    return ["adapt", *LENET, "--target-dataset", str(data), "--strategy", "finetune", "--output-dir", str(root / "out")]


@RECIPES.refused("nothing to resume", r".")
def nothing_to_resume(root: Path) -> list[str]:
    return ["adapt", "--resume", "--output-dir", str(root / "out")]
