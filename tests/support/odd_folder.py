"""Makes a folder of odd files, as people's folders have them, and says what is right for each.

python -m tests.support.odd_folder FOLDER
"""

import os
import stat
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIZE = 16
ORIENTATION = 0x0112
# Class folders as bytes of the file system: UTF-8 composed, decomposed, and Latin-1.
COMPOSED, DECOMPOSED, LATIN = "\u00e9clair".encode(), "cafe\u0301".encode(), b"cr\xe8me"
CLASSES = ("2", "10", "café", "crème", "salt, pepper", "éclair")


def scene(seed):
    """Pixels uint8 `(16, 16, 3)`, smooth, and different in every corner."""
    corners = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
    smooth = Image.fromarray(corners).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(smooth).copy()


def on_white(pixels, alpha):
    """Composites by hand: RGB uint8 and alpha uint8 `(16, 16)`."""
    share = alpha[..., np.newaxis] / 255
    return np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)


def fade():
    """Alpha uint8 `(16, 16)`: nothing at the left, everything at the right."""
    return np.tile(np.linspace(0, 255, SIZE).astype(np.uint8), (SIZE, 1))


def png(width, depth, colour_type, rows, transparent):
    """A PNG that Pillow does not write: of few or 16 bits, with a transparent level."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
        + chunk(b"IEND", b"")
    )


def make(root):
    """Writes the folder.

    Returns:
        `used`: the pixels that a viewer shows on white, uint8 `(16, 16, 3)`, by path. `damaged`:
        paths of files that are named as unreadable. `unused`: by kind, paths that are named as
        not used. Paths are relative to `root`; `None` as pixels leaves them to Pillow's decoder.
    """
    root = Path(root)
    folders = [os.fsdecode(name) for name in (COMPOSED, DECOMPOSED, LATIN)]
    for name in ("2", "10", "salt, pepper", *folders):
        (root / name).mkdir(parents=True)
    used = _turned(root / "2") | _transparent(root / "10") | _formats(root / "salt, pepper")
    used |= _places(root, *folders)
    damaged = _damaged(root / "2")
    return used, damaged, _unused(root)


def _turned(folder):
    """Pictures that a viewer turns: JPEGs of every orientation, and other formats."""
    used = {}
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[ORIENTATION] = orientation
        path = folder / f"turned-{orientation}.jpg"
        Image.fromarray(scene(orientation)).save(path, exif=exif)
        used[path] = None
    exif[ORIENTATION] = 6  # the top is at the right, so it is turned clockwise
    pixels = scene(20)
    for name in ("turned.png", "turned.webp", "turned.tiff"):
        options = {"lossless": True} if name.endswith("webp") else {}
        Image.fromarray(pixels).save(folder / name, exif=exif, **options)
        used[folder / name] = np.rot90(pixels, -1)
    path = folder / "turned-transparent.png"
    rgba = np.dstack([pixels, fade()])
    Image.fromarray(rgba).save(path, exif=exif)
    used[path] = np.rot90(on_white(pixels, fade()), -1)
    path = folder / "bad-exif.jpg"
    Image.fromarray(scene(21)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    used[path] = None
    return used


def _transparent(folder):
    """Every way to be transparent, over colours that nobody is meant to see."""
    used = {}
    pixels, grey = scene(30), scene(31)[..., 0]
    half = np.zeros((SIZE, SIZE), np.uint8)
    half[:, 8:] = 255

    def add(name, image, expected, **options):
        image.save(folder / name, **options)
        used[folder / name] = expected

    rgba = Image.fromarray(np.dstack([pixels, fade()]))
    add("rgba.png", rgba, on_white(pixels, fade()))
    add("rgba.webp", rgba, on_white(pixels, fade()), lossless=True, exact=True)
    add("rgba.tiff", rgba, on_white(pixels, fade()))
    greys = np.repeat(grey[..., np.newaxis], 3, axis=2)
    add("la.png", Image.fromarray(np.dstack([grey, fade()])), on_white(greys, fade()))

    indices = np.tile(np.arange(SIZE, dtype=np.uint8), (SIZE, 1))
    palette = np.random.default_rng(32).integers(0, 256, (SIZE, 3), np.uint8)
    indexed = Image.fromarray(indices).copy()
    indexed.putpalette(palette.ravel().tolist())
    add(
        "palette.png", indexed, on_white(palette[indices], fade()), transparency=fade()[0].tobytes()
    )
    first = np.where(indices == 0, 0, 255).astype(np.uint8)
    add("palette.gif", indexed, on_white(palette[indices], first), transparency=0)

    colours = np.where(half[..., np.newaxis] > 0, pixels, np.uint8([200, 10, 30]))
    image = Image.fromarray(colours.astype(np.uint8))
    add("rgb-key.png", image, on_white(colours, half), transparency=(200, 10, 30))
    levels = np.where(half > 0, 90, 7).astype(np.uint8)
    expected = np.where(half[..., np.newaxis] > 0, np.uint8(90), np.uint8(255))
    expected = np.broadcast_to(expected, (SIZE, SIZE, 3))
    add("grey-key.png", Image.fromarray(levels), expected, transparency=7)

    # Left half: the transparent level. Right half: another one.
    for name, depth, colour_type, left, right, level, shown in (
        ("grey-2-bit.png", 2, 0, b"\x55" * 2, b"\xaa" * 2, [1], 170),
        ("grey-4-bit.png", 4, 0, b"\x55" * 4, b"\xaa" * 4, [5], 170),
        ("grey-16-bit.png", 16, 0, b"\5\0" * 8, b"\x5a\0" * 8, [0x500], 90),
        ("rgb-16-bit.png", 16, 2, b"\x80\0" * 24, b"\x5a\0" * 24, [0x8000] * 3, 90),
    ):
        data = png(SIZE, depth, colour_type, [left + right] * SIZE, level)
        (folder / name).write_bytes(data)
        used[folder / name] = np.where(expected == 255, np.uint8(255), np.uint8(shown))
    return used


def _formats(folder):
    """Formats, modes, suffixes and frames."""
    used = {}
    pixels = scene(40)
    picture = Image.fromarray(pixels)

    def add(name, image=picture, expected=None, **options):
        image.save(folder / name, **options)
        used[folder / name] = expected

    for suffix in ("bmp", "png", "PNG", "tif", "ppm", "tga", "pcx", "sgi", "qoi"):
        if suffix == "qoi" and "QOI" not in Image.SAVE:
            continue
        add(f"lossless.{suffix}", expected=pixels)
    for suffix in ("jpg", "JPEG", "jfif", "jpe", "avif", "webp", "jp2"):
        add(f"lossy.{suffix}")
    add("progressive.jpg", progressive=True)
    add("cmyk.jpg", picture.convert("CMYK"))
    add("cmyk.tiff", picture.convert("CMYK"), pixels)
    deep = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) * 257
    for name in ("16-bit.png", "16-bit.tiff", "16-bit.pgm", "16-bit.jp2"):
        add(name, Image.fromarray(deep), np.repeat((deep >> 8)[..., None], 3, 2).astype(np.uint8))
    bits = Image.fromarray(np.eye(SIZE, dtype=bool))
    add("1-bit.png", bits, np.repeat(np.eye(SIZE, dtype=np.uint8)[..., None] * 255, 3, 2))
    few = picture.quantize(16)
    add("palette.png", few, np.asarray(few.convert("RGB")))
    others = [Image.fromarray(scene(41)), Image.fromarray(scene(42))]
    frames = {"save_all": True, "append_images": others}
    add("animated.gif", few, np.asarray(few.convert("RGB")), save_all=True, append_images=others)
    add("animated.png", picture, pixels, **frames)
    add("animated.webp", picture, pixels, lossless=True, **frames)
    add("pages.tiff", picture, pixels, **frames)
    add("without suffix", format="PNG", expected=pixels)
    add("photo.txt", format="JPEG")
    add("really-a-png.jpg", format="PNG", expected=pixels)
    return used


def _places(root, composed, decomposed, latin):
    """Pictures in sub-folders and behind links, in classes whose names are not plain."""
    used = {}
    elsewhere = root.parent / f"{root.name}-elsewhere"
    elsewhere.mkdir()
    paths = [root / composed / f"{number}.png" for number in range(3)]
    paths += [root / decomposed / "deep" / "deeper" / "1.png", root / decomposed / "2.png"]
    paths += [root / latin / os.fsdecode(b"\xfcber.png"), root / latin / "x.jpg" / "inside.png"]
    for seed, path in enumerate(paths, 50):
        path.parent.mkdir(parents=True, exist_ok=True)
        used[path] = scene(seed)
        Image.fromarray(used[path]).save(path)
    Image.fromarray(scene(60)).save(elsewhere / "linked.png")
    (root / latin / "linked").symlink_to(elsewhere)
    used[root / latin / "linked" / "linked.png"] = scene(60)
    (root / latin / "link.png").symlink_to(elsewhere / "linked.png")
    used[root / latin / "link.png"] = scene(60)
    return used


def _damaged(folder):
    """Files that are named like images and cannot be read."""
    whole = (folder / "turned-1.jpg").read_bytes()
    contents = {"empty.jpg": b"", "cut.jpg": whole[:400], "text.png": b"no picture"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    levels = np.linspace(-3, 7, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    Image.fromarray(levels).save(folder / "float.tiff")
    return [folder / name for name in (*contents, "float.tiff")]


def _unused(root):
    """What is no image of any class, by the kind under which it is named."""
    picture = Image.fromarray(scene(70))
    folder = root / "2"
    hidden = ["._turned-1.jpg", ".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store"]
    for name in ("@eaDir", "__MACOSX", ".ipynb_checkpoints"):
        (folder / name).mkdir()
        picture.save(folder / name / "thumbnail.jpg")
        hidden.append(name)
    for name in hidden[:5]:
        picture.save(folder / name, "PNG")
    (folder / "notes.txt").write_text("no picture")
    (folder / "captions.json").write_text("{}")
    (folder / "film.mp4").write_bytes(b"\0\0\0 ftypisom" + bytes(64))
    (folder / "photo.heic").write_bytes(b"\0\0\0 ftypheic" + bytes(64))
    picture.save(folder / "raw.nef", "TIFF")
    picture.save(folder / "print.eps")
    (folder / "README").write_text("PNG")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    os.mkfifo(folder / "pipe.png")
    os.mknod(folder / "socket.jpg", stat.S_IFSOCK | 0o600)
    (folder / "loop").symlink_to(root)
    (root / "alias").symlink_to(root / "10")
    (root / "empty.jpg").mkdir()
    picture.save(root / "beside.png")
    return {
        "hidden or the system's": [folder / name for name in hidden],
        ".txt": [folder / "notes.txt"],
        ".json": [folder / "captions.json"],
        ".mp4": [folder / "film.mp4"],
        ".heic": [folder / "photo.heic"],
        ".nef": [folder / "raw.nef"],
        ".eps": [folder / "print.eps"],
        "without a suffix": [folder / "README"],
        "broken links": [folder / "gone.png", folder / "itself.png"],
        "neither files nor folders": [folder / "pipe.png", folder / "socket.jpg"],
        "links to folders that are read already": [folder / "loop", root / "alias"],
        "folders without images that are named like one": [root / "empty.jpg"],
        "Images beside the class folders": [root / "beside.png"],
    }


def shown_by_pillow(path):
    """What Pillow itself makes of a file without transparency: its first frame, turned."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


if __name__ == "__main__":
    made, broken, others = make(sys.argv[1])
    print(f"{len(made)} images, {len(broken)} damaged, {sum(map(len, others.values()))} others")
