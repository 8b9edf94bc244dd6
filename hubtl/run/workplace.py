"""Guard the output directory of a run: its owner, its lock, and the delivery of files."""

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hubtl.engine import checkpoint
from hubtl.errors import HubtlError
from hubtl.io import files, jsontext, plain
from hubtl.io.places import check_writable
from hubtl.record import RunRecord

STATE = "training"  # checkpoints and what else is nobody's but the run's
LOCK = Path(STATE) / "run.lock"
WRITTEN = Path(STATE) / "files.json"  # what a run delivered: path -> digest; null where hubtl itself may write it again
STAGE = Path(STATE) / "delivery"
OURS = ("recipe.yaml", "record.json")
AMENDED = ("README.md", *OURS)  # by ``hubtl card``, ``evaluate --record`` and ``ablate``
SAVED = (*checkpoint.NAMES, "best.pt")  # below STATE; older versions wrote best.pt


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Lock a run directory for one process; the lock of a dead process is void."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise HubtlError(
            f"another process is at work in {folder}", hint="wait until it is done, or another --output-dir"
        ) from error
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        why = getattr(error, "strerror", None) or "this file system has no locks"
        raise HubtlError(
            f"cannot hold {folder}: {why}: {folder / LOCK}", hint="mend it, or a copy elsewhere"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Lock a folder that has a run's state; others, such as a pulled model, need no lock."""
    with at_work(folder) if (folder / LOCK).exists() else contextlib.nullcontext():
        yield


class Workplace:
    """Guard the output directory of one run.

    ``resume`` and ``overwrite`` are the user's wishes.
    """

    def __init__(self, folder: Path, *, resume: bool = False, overwrite: bool = False) -> None:
        self.folder, self.resume, self.overwrite = folder, resume, overwrite
        self.new: list[Path] = []  # directories that were made for this run
        self.goes_on = False
        self._began = self._own_lock = False
        self._lock = contextlib.ExitStack()

    def look(self) -> RunRecord | None:
        """Return the record of a run that is finished already. Writes nothing.

        Raises:
            HubtlError: for a folder that is not this run's to write, and for one that another process holds.
        """
        check_writable(self.folder)
        if (self.folder / LOCK).exists():
            with at_work(self.folder):
                return self._decide()
        return self._decide()

    def enter(self) -> RunRecord | None:
        """Do as ``look``, and lock the folder until ``leave``."""
        done = self._decide()
        if done is not None:
            return done
        place = (self.folder / LOCK).parent
        try:
            self.new = [path for path in (place, *place.parents) if not path.exists()]
            place.mkdir(parents=True, exist_ok=True)
            there = (self.folder / LOCK).exists()
            self._lock.enter_context(at_work(self.folder))
            self._own_lock = not there
        except OSError as error:
            raise HubtlError(f"cannot write to {self.folder}: {error.strerror}", hint="another --output-dir") from error
        return self._decide()  # it may have been written to meanwhile

    def begin(self, recipe: str, record: RunRecord) -> None:
        """Write this run's recipe and record. Files of an earlier run are removed first."""
        if not self.goes_on:
            self._clear(record)
        self._began = True
        files.write(self.folder / "recipe.yaml", recipe)
        record.save(self.folder)

    def leave(self) -> None:
        """Unlock the folder; a run without a checkpoint leaves nothing behind.

        Files of others are not touched.
        """
        try:
            if self._began and not self.started() and self._status() != "finished":
                for name in OURS:
                    (self.folder / name).unlink(missing_ok=True)
                shutil.rmtree(self.folder / STAGE, ignore_errors=True)
                self._own_lock = True
            if self._own_lock and not self.started() and not (self.folder / "record.json").exists():
                (self.folder / LOCK).unlink(missing_ok=True)
                _prune(self.folder / STATE)
            for path in self.new:
                with contextlib.suppress(OSError):
                    path.rmdir()
        finally:
            self._lock.close()

    @contextmanager
    def delivery(self) -> Iterator[Path]:
        """Yield a folder to write the model's files into. They are then moved into place atomically."""
        stage = self.folder / STAGE
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        try:
            yield stage
            made = {path.relative_to(stage).as_posix(): path for path in stage.rglob("*") if path.is_file()}
            before = self._written()
            digests = {name: None if name in AMENDED else _digest(path) for name, path in made.items()}
            jsontext.save(self.folder / WRITTEN, {**before, **digests}, indent=1, sort_keys=True)
            files.move(stage, self.folder)
            for name in before.keys() - made.keys():  # of a delivery that was cut off, with other options
                (self.folder / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def _decide(self) -> RunRecord | None:
        folder = self.folder
        self.goes_on = False
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if not any(not name.endswith(files.PARTIAL) for name in names - {STATE}) and self._bare():
            return None
        if not self._ours():
            if self.resume:
                raise HubtlError(
                    f"{folder} holds no run to resume", hint="leave --resume out, and choose another --output-dir"
                )
            raise HubtlError(f"the output directory {folder} is not empty", hint="another --output-dir")
        status = self._status()
        finished, unknown = status == "finished", status is None and bool(self._written())
        if not finished and not self.started() and not unknown:
            return None  # nothing is lost
        if self.overwrite:
            self._check_unchanged(finished)
            return None
        if self.resume:
            self.goes_on = not finished
            return RunRecord.load(folder) if finished else None
        if finished:
            hint = "--overwrite to train it again, or another --output-dir"
            raise HubtlError(f"the output directory {folder} is not empty: its run is finished", hint=hint)
        if unknown:
            raise HubtlError(
                f"the output directory {folder} has the model of a run whose record.json is missing or damaged",
                hint="--overwrite to train it again, record.json put back, or another --output-dir",
            )
        raise HubtlError(
            f"the output directory {folder} is not empty: a run was stopped in it",
            hint="--resume to continue it, --overwrite to start again, or another --output-dir",
        )

    def _bare(self) -> bool:
        state = self.folder / STATE
        return not state.exists() or (state.is_dir() and not any(state.iterdir()))

    def _ours(self) -> bool:
        return (self.folder / LOCK).exists() or (self.folder / "record.json").exists()

    def started(self) -> bool:
        """Return whether there is a checkpoint to continue from."""
        return any((own / name).exists() for own in _below(self.folder / STATE) for name in SAVED)

    def _status(self) -> str | None:
        """Return the status of the run; None where its record is missing, damaged or incomplete."""
        try:
            return RunRecord.load(self.folder).status
        except HubtlError:
            if (self.folder / "record.json").exists() and not (self.folder / STATE).exists():
                raise  # a record of another kind: nothing here says that it may be replaced
            return None

    def _written(self) -> dict[str, str | None]:
        try:
            found: dict[str, str | None] = plain.object_of(self.folder / WRITTEN)
        except (OSError, ValueError):
            return {}
        return {name: digest for name, digest in found.items() if not Path(name).is_absolute() and ".." not in name}

    def _check_unchanged(self, finished: bool) -> None:
        """Raise HubtlError where overwriting would remove what no run wrote."""
        written = self._written()
        if finished and not written:
            raise HubtlError(
                f"nothing in {self.folder} lists the files that its run wrote: it is no output directory of this version",
                hint="remove it yourself, or another --output-dir",
            )
        changed = [n for n, d in written.items() if d and (self.folder / n).is_file() and _digest(self.folder / n) != d]
        if changed:
            raise HubtlError(
                f"in {self.folder} these files were changed since the run wrote them: {', '.join(sorted(changed))}",
                hint="move them away, or another --output-dir",
            )

    def _clear(self, record: RunRecord) -> None:
        """Remove what an earlier run wrote, and nothing else; a README with a person's text stays.

        Checkpoints go first and the record last: cut off anywhere, the folder is still what its record says, or may be
        started again.
        """
        state = self.folder / STATE
        if {path.name for path in self.folder.iterdir()} == {STATE} and [*state.iterdir()] == [self.folder / LOCK]:
            return
        for own in _below(state):
            for name in SAVED:
                (own / name).unlink(missing_ok=True)
        if (self.folder / "record.json").exists():
            record.save(self.folder)
        for name in self._written().keys() - set(AMENDED):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / STAGE, ignore_errors=True)
        for own in _below(state / "ablation"):
            for leaf in (*OURS, LOCK.name, WRITTEN.name):
                (own / leaf).unlink(missing_ok=True)
        _unfinished([self.folder, *_below(state)])
        _prune(state)
        for name in {Path(name).parts[0] for name in self._written()}:
            _prune(self.folder / name)
        (self.folder / WRITTEN).unlink(missing_ok=True)


def relist(folder: Path, names: Iterable[str]) -> None:
    """Update the list of hubtl's files. A new run may replace them."""
    try:
        known: dict[str, str | None] = plain.object_of(folder / WRITTEN)
    except (OSError, ValueError):
        return
    for name in names:
        known.pop(name, None)
        if (folder / name).is_file():
            known[name] = None if name in AMENDED else _digest(folder / name)
    jsontext.save(folder / WRITTEN, known, indent=1, sort_keys=True)


def _below(folder: Path) -> list[Path]:
    """Return a folder and those in it, at any depth."""
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())] if folder.is_dir() else []


def _unfinished(folders: Iterable[Path]) -> None:
    """Remove the files of interrupted writes."""
    for folder in folders:
        for name in (*AMENDED, *SAVED, WRITTEN.name):
            (folder / (name + files.PARTIAL)).unlink(missing_ok=True)


def _prune(folder: Path) -> None:
    """Remove empty folders, this one included."""
    for path in sorted(_below(folder), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
