"""The files around the code are valid and true: workflows, forms, hooks, citation and metadata."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from trove_classifiers import classifiers

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(set(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) - {GITHUB / "ISSUE_TEMPLATE" / "config.yml"})
PACKAGES = (".", "plugins/hubtl-example", "plugins/hubtl-multimodal")
HOME = "https://github.com/hubtl/hubtl"


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def project(folder):
    return tomllib.loads(read(f"{folder}/pyproject.toml"))["project"]


TARGETS = dict(re.findall(r"^([a-z]+):([^=\n#]*)", read("Makefile"), re.MULTILINE))  # name -> what it depends on


def made(text):
    """The targets of each ``make`` in a text of commands."""
    return re.findall(r"(?<![\w-])make ([a-z]+)", text)


def commands(workflow):
    steps = [step for job in workflow["jobs"].values() for step in job.get("steps", ())]
    return [step["run"] for step in steps if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_jobs_with_a_limit_and_calls_make_targets_that_exist(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["name"] == path.stem
    assert workflow[True], "when it runs: YAML reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}
    called = [target for command in commands(workflow) for target in made(command)]
    assert called
    assert [target for target in called if target not in TARGETS] == []
    for name, job in workflow["jobs"].items():
        assert ("uses" in job) != ("steps" in job), name
        for step in job.get("steps", ()):
            assert ("uses" in step) != ("run" in step), name
            assert re.fullmatch(r"[\w-]+/[\w-]+@[\w./-]+", step.get("uses", "a/b@v1")), step
        assert set(re.findall(r"\w+", str(job.get("needs", "")))) <= set(workflow["jobs"]), name
        reused = job.get("uses")
        assert reused is None or "workflow_call" in yaml.safe_load(read(reused))[True]


def test_the_three_workflows_are_there_and_only_publishing_may_ask_for_an_identity():
    assert [path.stem for path in WORKFLOWS] == ["docs", "release", "test"]
    release = yaml.safe_load(read(".github/workflows/release.yml"))
    assert release[True] == {"push": {"tags": ["v*"]}}
    allowed = {name: job["permissions"] for name, job in release["jobs"].items() if "permissions" in job}
    assert allowed == {"publish": {"id-token": "write"}}
    assert (release["jobs"]["publish"]["needs"], release["jobs"]["build"]["needs"]) == ("build", "test")
    assert "secrets" not in read(".github/workflows/release.yml")


def test_ci_tests_the_versions_of_python_that_make_looks_for_and_pyproject_asks_for():
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    least = jobs["test"]["steps"][1]["with"]["python-version"]
    assert project(".")["requires-python"] == f">={least}"
    assert f"Programming Language :: Python :: {least}" in project(".")["classifiers"]
    looked_for = set(re.findall(r"python(3\.\d+)", read("Makefile")))
    assert {least, *jobs["quick"]["strategy"]["matrix"]["python"]} == looked_for


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_what_github_can_show(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert set(field) <= {"type", "id", "attributes", "validations"}
        assert field["type"] in ("textarea", "input", "dropdown")
        assert field["attributes"]["label"]
        assert (field["type"] == "dropdown") == ("options" in field["attributes"])
        assert field.get("validations", {}).keys() <= {"required"}
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_there_are_forms_for_bugs_features_and_plugins_and_kinds_are_those_of_hubtl():
    from hubtl import plugins

    assert [path.stem for path in FORMS] == ["bug", "feature", "plugin"]
    (kind,) = (f for f in yaml.safe_load(read(".github/ISSUE_TEMPLATE/plugin.yml"))["body"] if f["id"] == "kind")
    assert set(kind["attributes"]["options"]) == {plugins.SINGULAR[name] for name in plugins.KINDS} | {
        "combiner",
        "fusion",
    }


def test_the_hooks_are_the_checks_of_make_check():
    (local,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    entries = [hook["entry"] for hook in local["hooks"]]
    assert entries == [f"make {target}" for target in TARGETS["check"].split()]
    for hook in local["hooks"]:
        assert {"id", "name", "language"} <= set(hook)
        assert hook["pass_filenames"] is False


def test_the_citation_is_of_this_version_and_its_date():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= set(citation)
    assert citation["version"] == project(".")["version"]
    assert citation["license"] == project(".")["license"]
    assert citation["repository-code"] == HOME
    released = re.findall(r"^## (\S+) \((\S+)\)$", read("CHANGELOG.md"), re.MULTILINE)
    assert (citation["version"], str(citation["date-released"])) == released[0]


def test_fixes_are_promised_for_this_minor_version():
    minor = ".".join(project(".")["version"].split(".")[:2])
    assert f"latest minor version: {minor}." in read("SECURITY.md")


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_package_says_where_it_lives_and_for_whom_it_is(folder):
    metadata = project(folder)
    assert [one for one in metadata["classifiers"] if one not in classifiers] == []
    assert "Typing :: Typed" in metadata["classifiers"]
    assert any(one.startswith("Development Status :: ") for one in metadata["classifiers"])
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Source"} == set(metadata["urls"])
    for address in metadata["urls"].values():
        assert address.startswith(HOME)
        place = re.sub(rf"^{HOME}/(tree|blob)/main/", "", address)
        assert place in (HOME, f"{HOME}/issues") or (ROOT / place).exists(), address


def test_the_commands_of_the_guides_are_targets():
    for page in (
        "CONTRIBUTING.md",
        "README.md",
        ".github/pull_request_template.md",
        ".pre-commit-config.yaml",
        ".ci/run",
    ):
        text = "\n".join(re.findall(r"```.*?```|`[^`]+`|exec make \w+", read(page), re.DOTALL))
        called = made(text)
        assert [target for target in called if target not in TARGETS] == [], page
    assert {"test", "quick", "check", "docs", "cards"} <= set(made(read("CONTRIBUTING.md")))


def test_every_target_is_phony():
    (phony,) = re.findall(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)
    assert set(phony.split()) == set(TARGETS)
