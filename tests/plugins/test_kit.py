"""``hubtl plugin new``: each package that it writes installs, passes its own tests and works; a bad name is one error."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from hubtl.errors import HubtlError
from hubtl.plugins import kit
from tests.tiny import hubtl_command

DIGITS = ["--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci"]
FEW = ["--source-split", "train[:200]", "--target-split", "train[:200]", "--target-eval-split", "test[:100]"]
LENET = ["--model", "lenet", "--no-pretrained"]
USED = {  # how a run asks for it
    "strategy": [*LENET, "--strategy", "my-strategy"],
    "task": [*LENET, "--task", "my-task", "--strategy", "coral"],
    "tuner": [*LENET, "--tuner", "my-tuner", "--strategy", "mcc"],
    "validator": [*LENET, "--validator", "my-validator", "--strategy", "mcc"],
    "backbone": ["--model", "my-backbone:test_resnet", "--no-pretrained", "--image-size", "32", "--strategy", "coral"],
}


@pytest.fixture(scope="module", params=list(kit.KINDS))
def package(request, tmp_path_factory):
    """A written package of each kind. Its wheel is installed for its own process."""
    kind = request.param
    home = tmp_path_factory.mktemp(kind)
    written = kit.write(f"my-{kind}", kind, home / "package")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(home / "dist")]
    subprocess.run([*pip, *build, str(written.folder)], check=True)
    (wheel,) = (home / "dist").glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(home / "site")]
    subprocess.run([*pip, *install, str(wheel)], check=True)
    path = [str(home / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kind, written, {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def run(environment, cwd, *line):
    done = subprocess.run(
        [sys.executable, *line], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_its_own_tests_pass(package):
    _, written, environment = package
    said = run(environment, written.folder, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error")
    assert "failed" not in said
    assert "." in said


COMMANDS = """
import contextlib, io, json, sys
from hubtl.cli import app

found = []
for line in json.loads(sys.argv[1]):  # in one process: starting one costs seconds
    sys.argv, out = ["hubtl", *line], io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            app.run()
        except SystemExit as end:
            code = end.code or 0
    found.append([code, out.getvalue()])
print(json.dumps(found))
"""


def hubtl(environment, cwd, *lines):
    """Return the output of commands in turn; each has to succeed."""
    said = json.loads(run(environment, cwd, "-c", COMMANDS, json.dumps(lines)).splitlines()[-1])
    assert [code for code, _ in said] == [0] * len(lines), said
    return [out for _, out in said]


@pytest.mark.slow
def test_it_is_listed_stands_its_check_and_a_run_with_it_works_and_names_it(package, tmp_path):
    kind, _, environment = package
    more = ["--model", "test_resnet"] if kind == "backbone" else []
    listed, checked, said, shown = hubtl(
        environment,
        tmp_path,
        ["plugin", "list", "--json"],
        ["plugin", "check", f"{kind}:my-{kind}", *more],
        ["adapt", *USED[kind], *DIGITS, *FEW, "--steps", "4", "--output-dir", "run", "--json"],
        ["evaluate", "run", "--dataset", "builtin:digits/uci", "--json"],
    )
    row = {"kind": kind, "name": f"my-{kind}", "package": f"my-{kind}", "version": "0.1.0", "broken": None}
    assert json.loads(listed)["plugins"] == [row]
    assert "FAIL" not in checked
    assert "requires" in checked
    assert json.loads(said)["steps"] == 4
    assert json.loads(shown)["n"] == 600
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    took = [(plugin["kind"], plugin["name"], plugin["package"]) for plugin in record["plugins"]]
    assert took == [(kind, f"my-{kind}", f"my-{kind}")]
    assert f"of my-{kind} 0.1.0" in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.slow
def test_its_module_alone_is_a_plugin_too(package, tmp_path):
    kind, written, _ = package
    if kind not in ("strategy", "backbone"):
        pytest.skip("test_files.py has a file of every kind")
    file = written.folder / f"my_{kind}.py"
    line = ["adapt", *USED[kind], *DIGITS, *FEW, "--steps", "2", "--output-dir", "run", "--plugin", str(file), "--json"]
    hubtl(dict(os.environ), tmp_path, line)
    (plugin,) = json.loads((tmp_path / "run" / "hubtl.json").read_text())["plugins"]
    assert (plugin["kind"], plugin["package"], len(plugin["sha256"])) == (kind, file.name, 64)


@pytest.mark.parametrize("kind", kit.KINDS)
def test_what_is_written_is_whole(tmp_path, kind):
    written = kit.write(f"hubtl-my-{kind}", kind, tmp_path / "here")
    names = {path.relative_to(tmp_path / "here").as_posix() for path in written.files}
    module = f"hubtl_my_{kind}"
    assert names == {
        "pyproject.toml",
        "README.md",
        ".gitignore",
        ".github/workflows/test.yml",
        f"{module}.py",
        f"tests/test_{module}.py",
    }
    project = tomllib.loads((tmp_path / "here" / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"hubtl-my-{kind}"
    assert "license" not in project, "which licence is the author's to say"
    (points,) = project["entry-points"].values()
    assert list(points) == [f"my-{kind}"]
    assert project["dependencies"] == ["hubtl>=0.2,<0.3"]
    flow = yaml.safe_load((tmp_path / "here" / ".github/workflows/test.yml").read_text())
    commands = [step.get("run", "") for step in flow["jobs"]["test"]["steps"]]
    assert "pytest" in commands
    for path in written.files:
        text = path.read_text()
        assert "<<" not in text.replace("<<EOF", ""), path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("My Loss", "is no name for a package", "hubtl plugin new my-loss"),
        ("my_loss", "is no name for a package", "hubtl plugin new my-loss"),
        ("", "is no name for a package", "hubtl plugin new my-loss"),
        ("-", "is no name for a package", "hubtl plugin new my-loss"),
        ("../up", "is no name for a package", "hubtl plugin new up"),
        ("9lives", "is no name for a package", "hubtl plugin new my-loss"),
        ("a" * 60, "is no name for a package", f"hubtl plugin new {'a' * 50}"),
        ("für-alle", "is no name for a package", "hubtl plugin new f-r-alle"),
        ("class", "means something else to Python", "hubtl plugin new my-class"),
        ("hubtl", "means something else to Python", "hubtl plugin new my-hubtl"),
        ("json", "a module json is installed already", "hubtl plugin new my-json"),
        ("torch", "a module torch is installed already", "hubtl plugin new my-torch"),
        ("dann", "hubtl has one of that name", "hubtl plugin new my-dann"),
        ("hubtl-dann", "hubtl has one of that name", "hubtl plugin new my-dann"),
    ],
)
def test_a_bad_name_is_one_error_and_nothing_is_written(tmp_path, monkeypatch, capsys, name, said, hint):
    monkeypatch.chdir(tmp_path)
    code, out, err = hubtl_command(["plugin", "new", "--dir", "there", "--", name], capsys)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[0]
    assert err.splitlines()[1:] == [f"try:   {hint}"]
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_taken_for_its_kind_alone(tmp_path):
    assert kit.write("dann", "tuner", tmp_path / "dann").entry == "dann"


@pytest.mark.parametrize("there", ["pyproject.toml", "tests/test_my_loss.py", ".github/workflows/test.yml"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("mine")
    with pytest.raises(HubtlError, match="exists, and is not overwritten"):
        kit.write("my-loss", "strategy", tmp_path)
    assert (tmp_path / there).read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / there]


def test_a_second_time_is_refused_and_another_folder_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert kit.write("my-loss").folder == Path("my-loss")
    with pytest.raises(HubtlError, match="exists"):
        kit.write("my-loss")
    kit.write("my-loss", folder=tmp_path / "other")


def test_a_file_where_the_folder_should_be_is_one_error(tmp_path, capsys):
    (tmp_path / "x").write_text("mine")
    for folder in (tmp_path / "x", tmp_path / "x" / "below"):
        code, _, err = hubtl_command(["plugin", "new", "my-loss", "--dir", str(folder)], capsys)
        assert (code, len(err.splitlines())) == (2, 2), err
