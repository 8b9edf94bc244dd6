"""Which files are images, by how their names end: those of Pillow's formats that are safe to open."""

from PIL import Image, features

# programs, videos, mere stubs, and what unpacks or opens what is in it without a bound
UNREAD = frozenset({"EPS", "PDF", "WMF", "MPEG", "FLI", "BUFR", "GRIB", "HDF5", "FITS", "IPTC"})
NEEDED = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}  # formats that a Pillow may be built without


def _formats() -> tuple[str, ...]:
    Image.init()
    lacking = {name for name, feature in NEEDED.items() if not features.check(feature)}
    named = set(Image.registered_extensions().values())
    return tuple(sorted((set(Image.OPEN) & named) - UNREAD - lacking))


FORMATS = _formats()  # what may be opened, as ``Image.open(formats=…)`` takes it
IMAGES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO"))
