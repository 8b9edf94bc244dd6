"""Build the packages once for all processes of a test run. They are installed into an environment."""

import pytest
from filelock import FileLock

from tests.packages import clean


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """A folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session")
def built(shared) -> dict[str, clean.Built]:
    """Wheel and source distribution of each package."""
    with FileLock(shared / "packages.lock"):
        return clean.build_all(shared / "packages")


@pytest.fixture(scope="session")
def environment(shared, built) -> clean.CleanEnvironment:
    """An environment with the three wheels. Tests do not change it: ``clean.make`` makes one of their own."""
    env = clean.CleanEnvironment(shared / "environment")
    with FileLock(shared / "environment.lock"):
        if not (env.folder / "done").exists():
            clean.make(env.folder)
            clean.install(env, *(one.wheel for one in built.values()))
            (env.folder / "done").touch()
    return env
