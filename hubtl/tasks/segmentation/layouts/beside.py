"""Find a file that names the classes of masks beside them."""

from pathlib import Path

from hubtl.tasks.segmentation.legend import Legend, read

FILES = ("classes.json", "classes.txt", "labelmap.txt", "class_dict.csv")  # the first that is there is read


def legend(path: Path) -> Legend | None:
    """Return the legend in a data set's folder or its parent.

    None without such a file.

    Raises:
        HubtlError: for a file of another form.
    """
    home = path.resolve() if path.is_dir() else path.resolve().parent
    for folder in (home, home.parent):
        for name in FILES:
            if (folder / name).is_file():
                return read(folder / name)
    return None
