"""``hubtl plugin new``: each package that it writes installs, passes its own tests and works; a bad name is one error."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.plugins import kit
from hubtl.plugins.files import add_plugin
from tests.tiny import hubtl_command

DIGITS = ["--source-dataset", "builtin:digits/mnist", "--target-dataset", "builtin:digits/uci"]
FEW = ["--source-split", "train[:200]", "--target-split", "train[:200]", "--target-eval-split", "test[:100]"]
LENET = ["--model", "lenet", "--no-pretrained"]
USED = {  # how a run asks for it
    "strategy": [*LENET, "--strategy", "my-strategy"],
    "task": [*LENET, "--task", "my-task", "--strategy", "coral"],
    "tuner": [*LENET, "--tuner", "my-tuner", "--strategy", "mcc"],
    "validator": [*LENET, "--validator", "my-validator", "--strategy", "mcc"],
    "backbone": ["--model", "my-backbone", "--no-pretrained", "--image-size", "16", "--strategy", "coral"],
}
ENTRIES = {kind: {f"my-{kind}"} for kind in kit.KINDS} | {"modality": {"my_modality", "my-modality-net"}}


def readme(written):
    """The code and the commands of the README, under "Try it"."""
    page = (written.folder / "README.md").read_text().partition("## Try it")[2].partition("## Develop")[0]
    code = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (lines,) = re.findall(r"```\n(.*?)```", re.sub(r"```python\n.*?```", "", page, flags=re.DOTALL), flags=re.DOTALL)
    commands = [shlex.split(line) for line in lines.replace("\\\n", "").splitlines() if line.strip()]
    return code, commands


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
    kind, written, environment = package
    listed, checked = hubtl(
        environment, tmp_path, ["plugin", "list", "--json"], ["plugin", "check", f"{kind}:{written.entry}"]
    )
    rows = json.loads(listed)["plugins"]
    assert {row["name"] for row in rows} == ENTRIES[kind]
    assert all((row["package"], row["version"], row["broken"]) == (f"my-{kind}", "0.1.0", None) for row in rows)
    if kind == "modality":
        return  # the commands of its README are run
    said, shown = hubtl(
        environment,
        tmp_path,
        ["adapt", *USED[kind], *DIGITS, *FEW, "--steps", "4", "--output-dir", "run", "--json"],
        ["evaluate", "run", "--dataset", "builtin:digits/uci", "--json"],
    )
    assert "FAIL" not in checked
    assert "requires" in checked
    assert json.loads(said)["steps"] == 4
    assert json.loads(shown)["n"] == 600
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    took = [(plugin["kind"], plugin["name"], plugin["package"]) for plugin in record["plugins"]]
    assert took == [(kind, f"my-{kind}", f"my-{kind}")]
    assert f"of my-{kind} 0.1.0" in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.slow
def test_the_commands_of_its_readme_run(package, tmp_path):
    _, written, environment = package
    code, commands = readme(written)
    for text in code:
        run(environment, tmp_path, "-c", text)
    assert commands[0][:2] == ["hubtl", "adapt"]
    short = [["20" if a == "--steps" else b for a, b in pairwise(line)] for line in commands]
    hubtl(environment, tmp_path, *short)
    card = (tmp_path / "try" / "README.md").read_text()
    assert f"of my-{written.prefix} 0.1.0" in card
    if written.prefix == "modality":
        assert json.loads((tmp_path / "why" / "explanation.json").read_text())["relevance"]["my_modality"]


@pytest.mark.slow
def test_its_module_alone_is_a_plugin_too(package, tmp_path):
    kind, written, _ = package
    if kind == "modality":
        files = [written.folder / "my_modality.py", written.folder / "my_modality_net.py"]
        checked = ["plugin", "check", *(word for file in files for word in ("--plugin", str(file)))]
        (said,) = hubtl(dict(os.environ), tmp_path, checked)
        assert "FAIL" not in said
        assert "checking backbone 'my-modality-net' of my_modality_net.py" in said
        return
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
    } | ({f"{module}_net.py"} if kind == "modality" else set())
    project = tomllib.loads((tmp_path / "here" / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"hubtl-my-{kind}"
    assert "license" not in project, "which licence is the author's to say"
    assert {name for points in project["entry-points"].values() for name in points} == ENTRIES[kind]
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
        ("none", "means something else to Python", "hubtl plugin new my-none"),
        ("hubtl-2d", "is no name for a package", "hubtl plugin new my-loss"),
        ("field", "would be the class Field, and field.py has another Field", "hubtl plugin new my-field"),
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


@pytest.mark.parametrize("kind", kit.KINDS)
def test_a_file_is_called_as_its_package_is(tmp_path, kind):
    """Of a name whose words a class runs together, too."""
    written = kit.write("my-2d-x", kind, tmp_path / "p")
    modules = [path for path in written.files if path.suffix == ".py" and path.parent == tmp_path / "p"]
    found = {entry.name for module in modules for entry in add_plugin(module)}
    assert found == ({"my_2d_x", "my-2d-x-net"} if kind == "modality" else {"my-2d-x"})
    plugins._registered.clear()
    plugins.entries.cache_clear()


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
