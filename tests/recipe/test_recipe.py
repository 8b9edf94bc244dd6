"""Recipes: every mistake at once, the nearest name beside it, and the same recipe back from YAML."""

import pytest

from hubtl import plugins
from hubtl.backbones.reference import ModelRef
from hubtl.errors import HubtlError, RecipeError
from hubtl.recipe.flags import KEYS
from hubtl.recipe.reading import merge, parse, parse_set, read
from hubtl.recipe.schema import Recipe

GOOD = {"model": {"name": "resnet18"}, "target": {"dataset": "user/target"}}


def problems(raw) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse(raw)
    return caught.value.problems


def test_five_mistakes_are_reported_at_once():
    raw = {
        "model": {"name": "resnet18", "image_size": 4},
        "target": {"dataset": "user/target"},
        "strategy": {"name": "daann"},
        "optim": {"lr": -1, "shedule": "cosine"},
        "run": {"stpes": 10},
    }
    with pytest.raises(RecipeError) as caught:
        parse(raw, where="mine.yaml")
    text = str(caught.value)
    assert text.startswith("mine.yaml has 5 mistakes: (1) ")
    for part in (
        "model.image_size is 4: input should be greater than or equal to 8",
        "optim.lr is -1: input should be greater than 0",
        "unknown key optim.shedule (nearest: optim.schedule)",
        "unknown key run.stpes (nearest: run.steps)",
        "unknown strategy 'daann' (nearest: dann)",
    ):
        assert part in text
    assert caught.value.hint == "optim.schedule, run.steps, dann"


def test_a_missing_target_and_a_missing_model_are_both_said():
    assert set(problems({})) == {"model is missing", "target is missing"}


def test_a_strategys_options_are_checked_with_the_recipe():
    assert problems({**GOOD, "strategy": {"name": "dann", "options": {"wieght": 1}}}) == [
        "dann has no option 'wieght' (nearest: weight)"
    ]
    (problem,) = problems({**GOOD, "strategy": {"name": "mcc", "options": {"temperature": 0}}})
    assert problem.startswith("strategy.temperature is 0: input should be greater than 0")


@pytest.mark.parametrize(
    ("section", "name", "option", "value"),
    [
        ("strategy", "dann", "weight", "much"),
        ("strategy", "cdan+mcc", "mcc_temperature", 0),
        ("tuner", "first-n", "n", -1),
        ("task", "regression", "loss", "none"),
    ],
)
def test_a_wrong_option_is_called_as_it_is_set(section, name, option, value):
    (problem,) = problems(merge({**GOOD, section: name}, {f"{section}.{option}": value}))
    assert problem.startswith(f"{section}.{option} is {value!r}: ")


def test_a_wrong_option_of_the_model_is_called_as_it_is_set(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for name, options, said in (
        ("lenet", {"dropout": 7}, "model.dropout is 7: "),
        ("lenet", {"dropuot": 0.5}, "lenet has no option 'dropuot' (nearest: dropout)"),
        (str(tmp_path), {"pooling": "middle"}, "model.pooling is 'middle': "),
    ):
        with pytest.raises(HubtlError) as caught:
            ModelRef(name).check_options(options)
        assert str(caught.value).startswith(said)


def test_the_nearest_name_is_typed_after_the_flag_that_set_the_wrong_one():
    raw = {
        "model": {"name": "lenet"},
        "target": {"dataset": "x"},
        "strategy": {"name": "dnan"},
        "tuner": {"name": "loar"},
    }
    with pytest.raises(HubtlError) as caught:
        parse(raw, flags={"strategy.name": "--strategy"})
    assert caught.value.hint == "--strategy dan, lora"


@pytest.mark.parametrize(
    ("key", "name", "nearest"), [("tuner", "lorra", "lora"), ("task", "clasification", "classification")]
)
def test_names_of_other_kinds_are_checked_too(key, name, nearest):
    assert problems({**GOOD, key: name}) == [f"unknown {key} {name!r} (nearest: {nearest})"]


def test_an_unknown_validator_is_named():
    assert problems({**GOOD, "run": {"validator": "infomaxx"}}) == [
        "unknown run.validator 'infomaxx' (nearest: infomax)"
    ]


def test_a_section_that_is_no_mapping_is_a_mistake_and_not_a_traceback():
    assert problems({**GOOD, "run": 5})
    assert problems({**GOOD, "strategy": 5})
    assert problems({**GOOD, "optim": ["lr", 3]})


def test_a_name_alone_stands_for_its_section():
    recipe = parse(
        {"model": "resnet18", "source": "user/source", "target": "user/target", "strategy": "dann", "tuner": "norm"}
    )
    assert recipe.model.name == "resnet18"
    assert recipe.source is not None
    assert recipe.source.dataset == "user/source"
    assert (recipe.strategy.name, recipe.tuner.name) == ("dann", "norm")
    assert recipe.setting == "adaptation"
    assert parse(GOOD).setting == "transfer"


def test_yaml_round_trip_keeps_what_was_given_and_adds_nothing(tmp_path):
    recipe = parse(
        {
            **GOOD,
            "strategy": {"name": "dann", "options": {"weight": 0.5}},
            "optim": {"lr": 3e-3},
            "run": {"steps": 7, "report_to": ["tensorboard"]},
            "data": {"label_column": "étiquette"},
        }
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert parse(read(path)) == recipe
    assert "étiquette" in path.read_text(encoding="utf-8")
    assert "null" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-3", 0.003),
        ("1E3", 1000.0),
        ("0.1", 0.1),
        ("10", 10),
        ("true", True),
        ("null", None),
        ("cosine", "cosine"),
        ("[tensorboard, wandb]", ["tensorboard", "wandb"]),
        ("a=b", "a=b"),
        ("nan", "nan"),
        ("", None),
    ],
)
def test_set_reads_values_as_people_mean_them(text, value):
    parsed = parse_set([f"optim.lr={text}"])["optim.lr"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("pair", ["optim.lr", "=3", " =3"])
def test_set_without_a_key_or_a_value_is_refused(pair):
    with pytest.raises(HubtlError, match="key=value") as caught:
        parse_set([pair])
    assert "optim.lr=3e-3" in caught.value.hint


def test_set_refuses_what_is_not_yaml():
    with pytest.raises(HubtlError, match="not a YAML value"):
        parse_set(["run.report_to=[tensorboard"])


def test_a_changed_key_leaves_the_rest_and_the_original_alone():
    raw = {**GOOD, "optim": {"name": "adam"}}
    merged = merge(raw, {"optim.lr": 0.1, "run.steps": 5})
    assert merged["optim"] == {"name": "adam", "lr": 0.1}
    assert merged["run"] == {"steps": 5}
    assert raw["optim"] == {"name": "adam"}


def test_a_key_without_a_dot_is_an_option_of_the_strategy():
    merged = merge({**GOOD, "strategy": "dann"}, {"weight": 0.5, "strategy.ramp_steps": 10.0, "tuner.n": 2})
    assert merged["strategy"] == {"name": "dann", "options": {"weight": 0.5, "ramp_steps": 10.0}}
    assert merged["tuner"]["options"] == {"n": 2}


def test_a_name_alone_can_be_changed_by_a_dotted_key():
    merged = merge({"model": "resnet18", "target": "user/a"}, {"target.domain": "sketch", "model.image_size": 64})
    assert merged == {
        "model": {"name": "resnet18", "image_size": 64},
        "target": {"dataset": "user/a", "domain": "sketch"},
    }


@pytest.mark.parametrize("text", ["- a list", "just words", ""])
def test_a_file_that_holds_no_sections_is_refused_by_name(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(HubtlError, match=r"bad\.yaml holds"):
        read(tmp_path / "bad.yaml")


def test_a_file_that_is_not_yaml_or_not_there_is_refused_in_one_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("model: [resnet18\ntarget: x")
    with pytest.raises(HubtlError, match=r"bad\.yaml is not YAML") as caught:
        read(tmp_path / "bad.yaml")
    assert "\n" not in str(caught.value)
    with pytest.raises(HubtlError, match="cannot read the recipe"):
        read(tmp_path / "absent.yaml")


def test_every_flag_sets_a_key_that_the_recipe_has():
    for flag, key in KEYS.items():
        section, leaf = key.split(".")
        field = Recipe.model_fields[section].annotation
        fields = getattr(field, "model_fields", None) or field.__args__[0].model_fields
        assert leaf in fields, f"--{flag} sets {key}"


def test_default_rule_reads_no_target_labels():
    assert parse(GOOD).run.validator is None  # decided by what the data are: one of these two
    assert not any(plugins.load("validators", name)().oracle for name in ("ensemble", "last"))
