import re
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf import attend, sampling
from sagan_tf.attend import AttendSettings
from sagan_tf.attention import attention_maps
from sagan_tf.attention.figure import attention_figure
from tests.support import commands


def test_figures_and_page_of_generated_images(digits, tmp_path):
    out = tmp_path / "new" / "attention"
    printed = commands.run(
        "attend",
        f"--workdir={digits}",
        "--labels=7,3",
        "--seeds=0-1",
        "--points=12,8;0,15",
        f"--out={out}",
    )
    names = ["attention.html", "discriminator-attention_8x8.png", "ema_generator-attention_8x8.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        assert str(out / name) in printed
    measures = re.findall(r"^(\w+)/attention_8x8: distance ([\d.]+), entropy", printed, re.M)
    assert [network for network, _ in measures] == ["ema_generator", "discriminator"]
    assert "7, seed 1" in (out / names[0]).read_text()

    generator = sampling.load_generator(digits)
    labels, seeds = np.array([7, 3, 7, 3], np.int32), [0, 0, 1, 1]
    latents = sampling.latents_from_seeds(seeds, generator.latent_dim)
    points = np.broadcast_to([(12, 8), (0, 15)], (4, 2, 2))
    maps = attention_maps(generator, (latents, labels), points)["ema_generator/attention_8x8"]
    images = np.stack(list(sampling.sample(generator, seeds, labels)))
    figure = np.asarray(Image.open(out / names[2]))
    expected = attention_figure(images, points, maps)
    assert figure.shape == (4 * 129 - 1, 3 * 129 - 1, 3)
    assert np.abs(figure.astype(int) - expected).max() <= 1


def test_pictures_are_shown_to_the_discriminator(digits, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "notes.txt").write_text("no picture")
    for name, size in (("b.png", (40, 20)), ("a.jpg", (16, 16))):
        Image.effect_noise(size, 50).save(pictures / name)
    settings = {"workdir": str(digits), "out": str(tmp_path / "out")}
    attend.main(AttendSettings(images=str(pictures), **settings))
    with Image.open(tmp_path / "out" / "discriminator-attention_8x8.png") as figure:
        assert figure.size == (6 * 129 - 1, 2 * 129 - 1)  # five points, chosen automatically
    assert "generator" not in capsys.readouterr().out
    page = (tmp_path / "out" / "attention.html").read_text()
    assert page.index("a.jpg") < page.index("b.png")
    attend.main(AttendSettings(images=str(pictures / "b.png"), **settings))
    assert "a.jpg" not in (tmp_path / "out" / "attention.html").read_text()


def test_of_a_folder_the_first_that_can_be_read_are_shown(digits, tmp_path, caplog):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(18):
        Image.effect_noise((16, 16), 50).save(pictures / f"{number}.png")
    damaged = pictures / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    settings = AttendSettings(
        workdir=str(digits), images=str(pictures), points="3,3", out=str(tmp_path / "out")
    )
    attend.main(settings)
    page = (tmp_path / "out" / "attention.html").read_text()
    shown = [number for number in range(18) if f'"{number}.png"' in page]
    assert shown == [0, *range(2, 17)]
    said = caplog.text
    assert "1.png cannot be read as an image" in said
    assert "Of 18 images, the first 16 are shown" in said
    for path in pictures.iterdir():
        path.write_bytes(b"no image" + path.read_bytes()[8:])
    (pictures / "0.png").write_bytes(damaged.read_bytes())
    with pytest.raises(ValueError, match=r"with none|cannot be read"):
        attend.main(settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": "12"}, r"`--points` expects row,column .*Received: '12'"),
        ({"points": "a,b"}, r"in quotes, as in --points='12,8;3,10'"),
        ({"points": "0,0;3,16"}, r"`points` \(row, column\) must lie in .*Received: \(3, 16\)"),
        ({"seeds": "x"}, r"`--seeds` expects numbers and ranges"),
        ({"labels": "cat"}, r"`--labels` expects numbers and ranges, .*or class names"),
        ({"seeds": "0-16", "labels": "1"}, r"may name 16 images at most. Received: 17"),
        ({"images": "x.png", "labels": "1"}, r"Leave it or `--images` out"),
        ({"images": "missing.png"}, r"missing.png cannot be read"),
        ({"images": "."}, r"or a folder of them that Pillow reads. .*with none"),
        ({"best": True}, r"No checkpoint in .*best"),
        ({"workdir": "nowhere"}, r"`workdir` holds no training run"),
    ],
)
def test_bad_settings(digits, tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        attend.main(AttendSettings(**{"workdir": str(digits), **given}))
    assert not list(tmp_path.iterdir())


def test_a_broken_picture_is_named(digits, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"broken.png cannot be read as an image"):
        attend.main(AttendSettings(workdir=str(digits), images=str(path)))


def test_a_run_without_attention(digits, tmp_path):
    workdir = shutil.copytree(digits, tmp_path / "run")
    text = (workdir / "config.json").read_text()
    text = re.sub(r'("attention_resolutions": )\[\s*8\s*\]', r"\1[]", text)
    (workdir / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"ema_generator, which has none. Train with"):
        attend.main(AttendSettings(workdir=str(workdir), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
