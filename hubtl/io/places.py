"""Check that output places are writable before a command works."""

import tempfile
from pathlib import Path

from hubtl.errors import HubtlError
from hubtl.io import files


def there(name: str | Path) -> bool:
    """Return whether something is at a path; False for what no path can be, such as a whole paragraph."""
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a null character, ~ of an unknown user
        return False


def check_writable(folder: Path, *, flag: str = "--output-dir") -> None:
    """Raise HubtlError for a place where nothing can be written. Neither directory nor file can be."""
    try:
        if "\0" in str(folder):
            raise ValueError("a name cannot hold a null character")
        near = folder.absolute()
        while not near.exists():
            near = near.parent
        if not near.is_dir():
            raise HubtlError(f"{near} is a file: {folder} cannot be a directory", hint=f"another {flag}")
        with tempfile.TemporaryFile(dir=near):
            pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise HubtlError(f"cannot write to {folder}: {why}", hint=f"another {flag}") from error


def check_file(path: Path, *, flag: str = "--output") -> None:
    """Make the folder of an output file.

    Raises:
        HubtlError: where the file cannot be written.
    """
    try:
        if "\0" in path.name:
            raise ValueError("a name cannot hold a null character")
        if path.is_dir():
            raise HubtlError(f"{path} is a folder, and a file is to be written", hint=f"{flag} {path / 'NAME'}")
        for name in (path, path.with_name(path.name + files.PARTIAL)):
            if name.exists() and not name.is_file():
                raise HubtlError(f"{name} is no plain file: it cannot be replaced", hint=f"another {flag}")
        check_writable(path.parent, flag=flag)
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise HubtlError(f"cannot write {path}: {why}", hint=f"another {flag}") from error
