"""Build the three packages and install them into a clean environment. It has nothing else of hubtl.

Torch and the other dependencies are not installed again: the clean environment finds those of the running one by a
line in a ``.pth`` file. Its own folder comes first, and an editable install of hubtl does not come along, because
Python reads no ``.pth`` file in a folder that another one names.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = {
    "hubtl": ROOT,
    "hubtl-example": ROOT / "plugins" / "hubtl-example",
    "hubtl-multimodal": ROOT / "plugins" / "hubtl-multimodal",
}
LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "HUBTL_PLUGINS")  # of the running environment


@dataclass(frozen=True)
class Built:
    """The wheel and the source distribution of a package."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        """The folder of its own packages."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def run(self, *line: str | Path, cwd: Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
        """Run a program, by default one that must succeed, in a folder; names without a slash are of the environment.

        Args:
            *line: the program and its arguments.
            cwd: the working directory, outside the repository.
            check: whether another exit code than 0 fails the test, with what the program said.
            **variables: environment variables to add.
        """
        cwd = cwd.resolve()
        assert ROOT not in (cwd, *cwd.parents), "hubtl would be imported from the tree"
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        program, *arguments = map(str, line)
        program = program if "/" in program else str(self.folder / "bin" / program)
        done = subprocess.run(
            [program, *arguments],
            cwd=cwd,
            env={**inherited(), "PATH": path, "PYTHONNOUSERSITE": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join([program, *arguments])}\n{done.stdout}{done.stderr}"
        return done

    def hubtl(self, *arguments: str, cwd: Path) -> str:
        """Return the output of a command of hubtl, which must succeed."""
        return self.run("hubtl", *arguments, cwd=cwd).stdout


def build(source: Path, out: Path) -> Built:
    """Build a folder's wheel and source distribution with hatchling. The output folder is empty."""
    out.mkdir(parents=True)
    _quiet(sys.executable, "-m", "hatchling", "build", "-d", out, cwd=source)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


def build_all(out: Path) -> dict[str, Built]:
    """Build every package into its own folder. Nothing is built twice."""
    done = out / "done"
    if not done.exists():
        for name, source in SOURCES.items():
            build(source, out / name)
        done.touch()
    return {name: _found(out / name) for name in SOURCES}


def unpack(sdist: Path, out: Path) -> Path:
    """Unpack a source distribution, and return its folder."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # not in the first releases of Python 3.11
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(out)
    (folder,) = out.iterdir()
    return folder


def files(wheel: Path) -> dict[str, bytes]:
    """Return the content of a wheel's files by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def make(folder: Path) -> CleanEnvironment:
    """Make an environment that has the dependencies of hubtl and not hubtl."""
    _quiet(sys.executable, "-m", "venv", "--without-pip", folder, cwd=ROOT)
    env = CleanEnvironment(folder)
    places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (env.site / "dependencies.pth").write_text("".join(f"{place}\n" for place in places), encoding="utf-8")
    return env


def install(env: CleanEnvironment, *what: Path) -> None:
    """Install wheels or folders into an environment. Dependencies and the network are not used."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--no-compile"]
    pip = [sys.executable, "-m", "pip", "--python", env.python, "--disable-pip-version-check", "--quiet"]
    _quiet(*pip, "install", *options, *what, cwd=env.folder)


def _found(folder: Path) -> Built:
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def inherited() -> dict[str, str]:
    """Return the environment variables that do not lead to the tree."""
    return {name: value for name, value in os.environ.items() if name not in LEFT_OUT}


def _quiet(*line: str | Path, cwd: Path) -> None:
    line = tuple(map(str, line))
    done = subprocess.run(line, cwd=cwd, env=inherited(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(line)}\n{done.stdout}{done.stderr}"
