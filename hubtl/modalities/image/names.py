"""Name columns of images, the likeliest first."""

NAMES = ("image", "img", "images", "file_name", "filename", "path", "image_path", "file")
