"""The command line: every command, its exit codes, its errors, and what it writes."""
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn.cli import main, make_parser
from minicnn.data.cifar10 import CLASS_NAMES, load_cifar10
from minicnn.files import weights
from minicnn.files.download import Remote
from minicnn.models import ClassGaussian
from minicnn.models.published import PUBLISHED, Published, cached
from minicnn.models.stylizer import Stylizer, save_stylizer
from test_adapt import theirs
from torchfiles import save_zip

COMMANDS = ["invert", "style", "style-train", "classify", "show-settings", "augment", "train", "evaluate", "weights",
            "gradcheck", "summary", "doctor", "bench"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """The path of a tiny network that was never trained."""
    rng = np.random.default_rng(0)
    model = mc.models.build("small", CLASS_NAMES, rng=0, widths=((4,), (8,)))
    images = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    model.start = ClassGaussian(10).fit(mc.data.Dataset(images, np.arange(200) % 10, CLASS_NAMES))
    path = tmp_path_factory.mktemp("net") / "tiny.safetensors"
    mc.save(model, path)
    return str(path)


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """The path of a LeNet-5 for grey pictures of 28x28 that was never trained."""
    rng = np.random.default_rng(0)
    model = mc.models.build("lenet5", list("0123"), rng=0, channels=1, size=28)
    images = rng.integers(0, 256, (80, 28, 28, 1), dtype=np.uint8)
    model.start = ClassGaussian(4, channels=1).fit(mc.data.Dataset(images, np.arange(80) % 4, list("0123")))
    path = tmp_path_factory.mktemp("grey") / "grey.safetensors"
    mc.save(model, path)
    return str(path)


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """A folder like CIFAR-10's binary version, with few pictures: each class has its own colour, and noise."""
    folder, rng = tmp_path_factory.mktemp("cifar"), np.random.default_rng(1)
    colours = rng.integers(40, 216, (10, 3, 1))
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        labels = rng.permutation(np.arange(40) % 10)
        planes = np.clip(colours[labels] + rng.normal(0, 20, (40, 3, 1024)), 0, 255).astype(np.uint8)
        records = np.concatenate([labels[:, None].astype(np.uint8), planes.reshape(40, -1)], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return str(folder)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """run("invert cat", "--seed", 3)  ->  (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINICNN_DATA", raising=False)

    def call(words, *more):
        code = main([*shlex.split(words), *map(str, more)])
        return code, *capsys.readouterr()
    return call


def start_process(*words, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, "-m", "minicnn", *map(str, words)], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def assert_one_line(err, *parts):
    assert err.startswith("minicnn: error: ") and err.count("\n") == 1 and "Traceback" not in err, err
    assert all(part in err for part in parts), err


# ---- Help, versions, wrong usage -----------------------------------------------------------------------------------

@pytest.mark.parametrize("command", COMMANDS)
def test_help_describes_and_shows_examples_that_parse(run, command):
    code, out, err = run(f"{command} --help")
    assert code == 0 and not err
    examples = out.partition("examples:\n")[2].strip().splitlines()
    assert examples and all(line.strip().startswith(f"minicnn {command}") for line in examples)
    for line in examples:
        make_parser().parse_args(shlex.split(line)[1:])          # exits if it is not understood
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("command", ["invert", "style", "classify", "evaluate", "summary"])
def test_help_says_where_networks_come_from(run, command):
    told = "".join(run(f"{command} --help")[1].partition("--model NAME|FILE  ")[2].split())      # lines break at hyphens, too
    for part in ("robust or standard", "downloaded, vgg19", "minicnn weights list", "minicnn train", "minicnn style-train"):
        assert part.replace(" ", "") in told


def test_main_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0 and "examples:" in out
    assert re.findall(r"^    ([a-z-]+)\b", out, re.M) == COMMANDS


def test_version(run):
    assert run("--version") == (0, f"minicnn {mc.__version__}\n", "")


def test_no_command_shows_help_and_is_an_error(run):
    code, out, err = run("")
    assert code == 2 and not out and "minicnn COMMAND --help" in err


@pytest.mark.parametrize("words, said", [
    ("frobnicate", "invalid choice: 'frobnicate'"), ("classify", "PICTURE"),
    ("classify a.png --crops 5", "argument --crops: invalid choice: 5"),
    ("classify a.png --scales 224,x", "'224,x' does not look like 224,256,288"),
    ("classify a.png --scales 224 --crops 10", "not allowed with"),
    ("invert", "name a CLASS to draw, or --all"),
    ("invert --target-layer features.1", "--target-layer and --unit go together"),
    ("invert cat --unit 3", "--target-layer and --unit go together"),
    ("invert cat --target-layer features.1 --unit 3", "leave out CLASS and --all"),
    ("invert --all --target-layer features.1 --unit 3", "leave out CLASS and --all"),
    ("invert cat --no-prior --bn-prior 1", "leave out --bn-prior"),
    ("invert cat --bn-prior -1", "'-1' is not a number from 0"),
    ("invert cat --count 0", "--count: '0' is not a whole number from 1 on"), ("invert cat --seed -1", "--seed"),
    ("invert cat --steps x", "'x' is not a whole number"), ("train", "-o/--output"),
    ("train -o a.safetensors --lr nan", "'nan' is not a number"),
    ("train -o a.safetensors --widths 3,x", "24,32/64,64"),
    ("train -o a.safetensors --widths 3,0", "24,32/64,64"), ("evaluate --attack l1", "l1"),
    ("evaluate --attack linf --epsilon 8/0", "'8/0' is not a number"), ("evaluate --epsilon 8/", "'8/'"),
    ("evaluate --attack l2 --step x/2", "'x/2' is not a number"), ("evaluate --steps 3", "--attack"),
    ("evaluate --confusion a.png --mistakes ./a.png", "same file"),
    ("summary --model a --network small", "not allowed with"),
    ("summary --network large", "'large' is none of small, lenet5"),
    ("summary --channels 1", "--channels is for a new network"),
    ("summary --network small --size 0", "--size: '0' is not a whole number from 1 on")])
def test_wrong_usage_is_exit_code_2(run, words, said):
    code, out, err = run(words)
    assert code == 2 and not out and said in err.splitlines()[-1] and "Traceback" not in err


@pytest.mark.parametrize("option, value", [("lr", 0), ("warmup", 1), ("label-smoothing", 1.5), ("average", 1)])
def test_settings_out_of_range(run, cifar, option, value):
    code, _, err = run(f"train -o a.safetensors --{option} {value} --data", cifar)
    assert code == 2 and f"--{option}" in err


# ---- Errors --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, parts", [
    ("invert cat --model nix", ["no network nix", "ships with minicnn"]),
    ("classify a.png --model nix", ["no network nix"]),
    ("summary --model nix", ["no network nix"]),
    ("summary --network nix.py:build", ["no file nix.py"]), ("summary --network lenet5 --size 20", ["at least 28x28"]),
    ("invert cat -o none/cat.png", ["none/cat.png", "no folder none", "make it first"]),
    ("invert cat -o cat.bmp", ["cat.bmp", ".png"]),
    ("invert cat --animate cat.mp4", ["cat.mp4", ".gif"]),
    ("show-settings nix.png", ["no picture nix.png", "check the name"]),
    ("train -o net.png", ["net.png", ".safetensors"]),
    ("train --data nix -o net.safetensors", ["no folder nix", "cifar10, cifar100, fashion-mnist"]),
    ("train --data shapes --limit 99 --size 20 --network lenet5 -o net.safetensors", ["lenet5", "20x20", "at least 28x28"]),
    ("train -o net.safetensors --resume", ["no checkpoint net.ckpt", "without --resume"]),
    ("gradcheck nix", ["no operation 'nix'", "conv2d", "file.py:function"]),
    ("gradcheck nix.py:f", ["nix.py"])])
def test_an_error_is_one_line(run, words, parts):
    code, out, err = run(words)
    assert code == 1 and not out
    assert_one_line(err, *parts)


def test_unknown_class_lists_the_known_ones(run, net):
    code, out, err = run("invert unicorn --model", net)
    assert code == 1 and not out
    assert_one_line(err, "unicorn", *CLASS_NAMES)


def test_files_that_are_no_network(run, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    weights.save({"weight": np.zeros(3, np.float32)}, tmp_path / "bare.safetensors")
    code, _, err = run("summary --model text.safetensors")
    assert code == 1
    assert_one_line(err, "text.safetensors cannot be read as safetensors")
    code, _, err = run("summary --model bare.safetensors")
    assert code == 1
    assert_one_line(err, "bare.safetensors", "does not say of which network", "minicnn weights import bare.safetensors")
    save_stylizer(Stylizer(2, 0, rng=0), "taught.safetensors")
    for words in ("summary", "classify a.png", "style a.png b.png -o out.png", "invert cat"):
        code, _, err = run(f"{words} --model taught.safetensors")
        assert code == 1
        assert_one_line(err, "taught.safetensors is a network that stylises", "minicnn style photo.jpg --model taught.safetensors")


def test_a_checkpoint_is_no_network(run, cifar):
    assert run(f"{SMALL} --epochs 1 -o net.safetensors --data", cifar)[0] == 0
    assert_one_line(run("summary --model net.ckpt")[2], "net.ckpt is the checkpoint of a training run, no network", "--resume")


@pytest.mark.parametrize("words", ["--debug invert cat --model nix", "invert cat --model nix --debug",
                                   "invert --debug cat --model nix"])
def test_debug_shows_the_traceback_before_or_after_the_command(run, words):
    code, _, err = run(words)
    assert code == 1 and "Traceback" in err
    assert_one_line(err.splitlines(keepends=True)[-1], "no network nix")


def test_an_unexpected_error_says_its_type_and_how_to_see_more(run, net, monkeypatch):
    def broken(*_, **__):
        raise KeyError("weight")
    monkeypatch.setattr("minicnn.cli.summary.summary", broken)
    code, _, err = run("summary --model", net)
    assert code == 1
    assert_one_line(err, "KeyError: 'weight' (run again with --debug for the traceback)")


def test_ctrl_c_is_130(run, net, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
    monkeypatch.setattr("minicnn.cli.summary.summary", interrupted)
    assert run("summary --model", net) == (130, "", "minicnn: stopped\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise on Windows")
@pytest.mark.parametrize("words, code", [(["-m", "minicnn", "doctor"], 130), (["minicnn"], 130), (["mine.py"], -signal.SIGINT)])
def test_ctrl_c_while_it_starts(tmp_path, words, code):
    """In the middle of an import: the command stops without a traceback, a program of one's own as ever."""
    (tmp_path / "safetensors.py").write_text("import time\nprint('now', flush=True)\ntime.sleep(60)\n")
    for name in ("minicnn", "mine.py"):
        (tmp_path / name).write_text("from minicnn.cli import main\n")
    (tmp_path / "run").mkdir()
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    words = [str(tmp_path / word) if (tmp_path / word).exists() and word == words[0] else word for word in words]
    process = subprocess.Popen([sys.executable, *words], env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path / "run",
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == "minicnn: stopped\n" if code == 130 else "KeyboardInterrupt" in err


def test_as_a_process(net, tmp_path):
    process = start_process("classify", "nix.png", "--model", net, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and not out
    assert_one_line(err, "no picture nix.png")


def test_a_reader_who_leaves_is_no_error(tmp_path):
    process = start_process("summary", "--network", "small", cwd=tmp_path)
    process.stdout.close()                       # before anything is printed
    assert process.stderr.read() == "" and process.wait(timeout=60) == 1


# ---- classify ------------------------------------------------------------------------------------------------------

def gradient_picture():
    rows, columns = np.mgrid[0:40, 0:60]
    return np.stack([rows * 6, columns * 4, 255 - rows * 3], axis=2).astype(np.uint8)


def write_kinds(folder):
    """The same picture in every kind of file; returns the paths."""
    picture = Image.fromarray(gradient_picture())
    picture.save(folder / "rgb.png")
    picture.convert("L").save(folder / "gray.png")
    picture.quantize(200).save(folder / "palette.png")
    picture.convert("1").save(folder / "bits.png")
    picture.convert("L").convert("LA").save(folder / "gray_alpha.png")
    picture.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(gradient_picture()[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    picture.save(folder / "animated.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.save(folder / "plain.webp", lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6                             # the camera was held upright
    picture.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    return sorted(folder.iterdir())


def test_pictures_of_any_kind_go_in(run, net, tmp_path):
    paths = write_kinds(tmp_path)
    code, out, err = run("classify --model", net, *paths)
    assert code == 0 and not err
    blocks = dict(re.findall(r"^(\S+)\n((?:  .+\n){5})", out, re.M))
    assert list(blocks) == [str(path) for path in paths]
    for block in blocks.values():
        assert re.fullmatch(r"(  [a-z]+ +\d+\.\d%(  \S+)?\n){5}", block)
        shares = [float(share) for share in re.findall(r"([\d.]+)%", block)]
        assert shares == sorted(shares, reverse=True) and 50 <= sum(shares) <= 100.3
    same = [blocks[str(tmp_path / name)] for name in ("rgb.png", "alpha.png", "plain.webp", "turned.png")]
    assert same == same[:1] * 4                  # without loss, opaque, and turned back: the same picture


def test_classify_agrees_with_the_network(run, net, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    model = mc.models.load(net)
    x = np.clip(mc.resize(gradient_picture()[:, 10:50], (32, 32), "lanczos"), 0, 1)
    share = mc.softmax(mc.predict(model, x[None])).numpy()[0]
    _, out, _ = run("classify a.png --model", net)
    for k in np.argsort(-share)[:5]:
        assert re.search(rf"{CLASS_NAMES[k]} +{share[k]:.1%} ", out)


def test_classify_shows_a_network_of_grey_pictures_grey_ones_of_its_size(run, grey, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    Image.fromarray(gradient_picture()).convert("L").save(tmp_path / "grey.png")
    x = np.clip(mc.resize(gradient_picture()[:, 10:50], (28, 28), "lanczos"), 0, 1) @ np.array([.299, .587, .114], "f")
    share = mc.softmax(mc.predict(mc.models.load(grey), x[None, :, :, None])).numpy()[0]
    code, out, err = run("classify a.png grey.png --model", grey)
    assert code == 0 and not err
    coloured, already = re.findall(r"^\S+png\n((?:  .+\n){4})", out, re.M)
    for k in range(4):
        assert re.search(rf"^  {k} +{share[k]:.1%}", coloured, re.M)
    shares = [[float(n) for n in re.findall(r"([\d.]+)%", block)] for block in (coloured, already)]
    assert shares[0] == pytest.approx(shares[1], abs=.5)         # Pillow's grey is rounded to 8 bits


def test_networks_of_ones_own_are_named_again(run, tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "own.py").write_text(
        "import minicnn as mc\n\n\ndef build(class_names, rng, channels=3, size=32):\n"
        "    return mc.Sequential(mc.Conv2d(channels, 4, 3, rng=rng), mc.ReLU(), mc.GlobalAvgPool2d(),\n"
        "                         mc.Dense(4, len(class_names), rng=rng))\n")
    mc.save(mc.models.build("nets/own.py:build", ["cat", "dog"], rng=0, size=40), tmp_path / "own.safetensors")
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    for words in ("classify a.png", "invert cat --start noise --steps 1 --count 1 --native n"):
        code, _, err = run(f"{words} --model own.safetensors")
        assert code == 1 and not (tmp_path / "n").exists()
        assert_one_line(err, "own.py:build", "name it")
        assert run(f"{words} --model own.safetensors --network nets/own.py:build")[0] == 0
    assert Image.open(tmp_path / "n" / "cat-000.png").size == (40, 40)
    assert json.loads(run("show-settings cat.png")[1])["command"].endswith(" --network own.py:build")


@pytest.fixture(scope="module")
def photographic(tmp_path_factory):
    """The path of a tiny SqueezeNet for pictures of 224x224, that was never trained and has numbers for names."""
    path = tmp_path_factory.mktemp("photographic") / "squeeze.safetensors"
    mc.save(mc.models.build("squeezenet1_1", mc.models.numbered_classes(12), rng=0, width=4), path)
    return str(path)


@pytest.mark.parametrize("words, seen", [
    ("", {}), ("--crops 10", dict(crops=10)), ("--scales 224,240", dict(scales=[224, 240]))])
def test_networks_for_photographs_see_as_much_as_is_asked_for(run, photographic, tmp_path, words, seen):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    shares = mc.classify(mc.models.load(photographic), mc.read_image(tmp_path / "a.png"), **seen)
    code, out, err = run(f"classify a.png {words} --model", photographic)
    assert code == 0 and not err
    lines = out.splitlines()[1:]
    assert [re.match(r"  (class \d+) +([\d.]+%)", line).groups() for line in lines] == [
        (f"class {k}", f"{shares[k]:.1%}") for k in np.argsort(-shares)[:5]]


def test_the_names_of_the_classes_come_from_a_file(run, photographic, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    likeliest = int(re.search(r"class (\d+)", run("classify a.png --model", photographic)[1])[1])
    names = [f"n{k:08d} thing {k}, {'a long word ' * 9}" for k in range(12)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n\n")
    code, out, _ = run("classify a.png --classes names.txt --model", photographic)
    assert code == 0 and re.match(rf"a.png\n  thing {likeliest}, a long word [a-z ]*\.\.\. +\d", out)
    assert max(map(len, out.splitlines())) < 80
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    for words, said in [("names.txt", "names.txt names 2 classes, the network has 12"), ("nix.txt", "no file nix.txt"),
                        ("a.png", "a.png is no text")]:
        code, _, err = run(f"classify a.png --classes {words} --model", photographic)
        assert code == 1
        assert_one_line(err, said)


def test_what_cannot_be_classified_is_one_line(run, photographic, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    mc.save(mc.models.build("vgg11", features_only=True, rng=0, width=4), tmp_path / "features.safetensors")
    code, _, err = run("classify a.png --model features.safetensors")
    assert code == 1
    assert_one_line(err, "features.safetensors", "without the layers that know classes", "without --features")
    for words in ("invert cat", "invert --all", "evaluate --data none"):
        assert_one_line(run(f"{words} --model features.safetensors")[2], "without the layers that know classes")
    code, _, err = run("classify a.png --scales 256,200 --model", photographic)
    assert code == 1
    assert_one_line(err, "scale 200 is smaller", "use 224 or more")


def bomb():
    """A PNG of a few bytes whose header speaks of 20000 x 20000 pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">2I5B", 20000, 20000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))


def png_bytes():
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


BROKEN = {"truncated.png": (png_bytes()[:3000], "broken or cut short"), "bomb.png": (bomb(), "400 megapixels"),
          "empty.png": (b"", "empty file"), "text.png": (b"this is no picture\n", "not a picture"),
          "header.png": (png_bytes()[:20], "not a picture|broken")}


@pytest.mark.parametrize("name", BROKEN)
def test_an_unreadable_picture_is_named_and_the_rest_goes_on(run, net, tmp_path, name):
    content, said = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    Image.fromarray(gradient_picture()).save(tmp_path / "good.png")
    code, out, err = run(f"classify {name} good.png --model", net)
    assert code == 1 and out.startswith("good.png\n")
    assert_one_line(err, name)
    assert re.search(said, err)


def test_a_folder_and_an_absent_file(run, net, tmp_path):
    (tmp_path / "folder").mkdir()
    code, out, err = run("classify folder nix.png --model", net)
    assert code == 1 and not out
    lines = err.splitlines()
    assert len(lines) == 2 and "folder is a folder" in lines[0] and "no picture nix.png" in lines[1]


def test_bars_without_blocks_where_the_terminal_has_none(net, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "minicnn", "classify", "a.png", "--model", net], cwd=tmp_path,
                          env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr and "#" in done.stdout


# ---- invert --------------------------------------------------------------------------------------------------------

def test_invert_writes_a_sheet_pictures_and_an_animation(run, net, tmp_path):
    code, out, err = run("invert ship --count 3 --steps 4 --display 64 --native ships --animate ship.gif --model", net)
    assert code == 0 and not err
    assert re.search(r"^wrote ship.png, ship.gif, 3 pictures in ships in \d+\.\d s$", out, re.M)
    assert sorted(path.name for path in (tmp_path / "ships").iterdir()) == [f"ship-{i:03d}.png" for i in range(3)]
    pictures = [Image.open(tmp_path / "ships" / f"ship-{i:03d}.png") for i in range(3)]
    assert all(picture.size == (32, 32) and picture.mode == "RGB" for picture in pictures)
    sheet = Image.open(tmp_path / "ship.png")
    assert sheet.width >= 3 * 64 and sheet.height > 64
    animation = Image.open(tmp_path / "ship.gif")
    assert animation.n_frames > 1


def test_the_opinion_is_of_the_picture_as_it_was_saved(run, net, tmp_path):
    _, out, _ = run("invert frog --count 3 --steps 5 --native n --model", net)
    saved = np.stack([mc.read_image(tmp_path / "n" / f"frog-{i:03d}.png") for i in range(3)])
    share = mc.softmax(mc.predict(mc.models.load(net), saved)).numpy()
    told = ", ".join(f"{CLASS_NAMES[row.argmax()]} {100 * row.max():.0f} %" for row in share)
    assert f"  frog  {told}\n" in out


def test_pictures_are_those_of_the_function(run, net, tmp_path):
    run("invert dog --count 2 --steps 6 --seed 4 --native n --model", net)
    recipe = mc.generate.InversionRecipe(steps=6)
    expected = mc.generate.invert(mc.models.load(net), "dog", count=2, seed=4, recipe=recipe)
    for i in range(2):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "n" / f"dog-{i:03d}.png")),
                              np.floor(255 * expected[i] + .5).astype(np.uint8))


@pytest.mark.parametrize("options", ["", "--no-prior", "--start noise", "--start photo.png", "--all --count 1"])
def test_the_same_seed_gives_the_same_file_and_another_seed_another(run, net, tmp_path, options):
    Image.fromarray(gradient_picture()).save(tmp_path / "photo.png")
    for name, seed in [("one", 1), ("again", 1), ("two", 2)]:
        command = f"invert cat --count 2 --steps 3 {options} --seed {seed} -o {name}.png --animate {name}.gif --model"
        assert run(command, net)[0] == 0
    for suffix in (".png", ".gif"):
        one, again, two = ((tmp_path / (name + suffix)).read_bytes() for name in ("one", "again", "two"))
        assert one == again and one != two


def test_settings_tell_how_to_make_the_picture_again(run, net, tmp_path):
    run("invert bird --seed 3 --steps 2 --count 2 --size 40 --display 80 --start noise --native n -o made/../bird.png --model", net)
    assert not (tmp_path / "bird.png").exists()  # there is no folder "made"
    run("invert bird --seed 3 --steps 2 --count 2 --size 40 --display 80 --start noise --native n --model", net)
    code, out, _ = run("show-settings bird.png")
    settings = json.loads(out)
    assert code == 0 and settings == {
        "command": "minicnn invert bird --count 2 --seed 3 --steps 2 --size 40 --display 80 --start noise "
                   "--model tiny.safetensors",
        "seed": 3, "version": mc.__version__, "model": "tiny.safetensors",
        "weights": hashlib.sha256(Path(net).read_bytes()).hexdigest()[:12]}
    single = json.loads(run("show-settings n/bird-001.png")[1])
    assert single == {**settings, "picture": 1}
    first = (tmp_path / "bird.png").read_bytes()
    shutil.copy(net, tmp_path / "tiny.safetensors")
    assert run(settings["command"].removeprefix("minicnn "), "-o", "again.png")[0] == 0
    assert (tmp_path / "again.png").read_bytes() == first


def test_a_picture_to_start_from_is_known_by_its_hash(run, net, tmp_path):
    (tmp_path / "deep").mkdir()
    Image.fromarray(gradient_picture()).save(tmp_path / "deep" / "photo.png")
    run("invert cat --steps 0 --count 1 --start deep/photo.png --native n --model", net)
    settings = json.loads(run("show-settings cat.png")[1])
    assert "--start photo.png" in settings["command"] and "deep" not in json.dumps(settings)
    assert settings["start"] == hashlib.sha256((tmp_path / "deep" / "photo.png").read_bytes()).hexdigest()[:12]
    seen = np.clip(mc.resize(gradient_picture()[:, 10:50], (32, 32), "lanczos"), 0, 1)
    drawn = np.asarray(Image.open(tmp_path / "n" / "cat-000.png"))
    assert np.array_equal(drawn, np.floor(255 * seen + .5).astype(np.uint8))


def test_pictures_are_drawn_larger_than_the_network_knows_them(run, net, tmp_path):
    """The sheet of the first command holds 96x96 pixels; alone they are written in --size, or as small as ever."""
    assert run("invert cat --count 2 --steps 2 --model", net)[0] == 0
    assert "--size 96" in json.loads(run("show-settings cat.png")[1])["command"]
    assert run("invert cat --count 2 --steps 2 --size 48 --native n --animate a.gif --model", net)[0] == 0
    large = np.stack([mc.read_image(tmp_path / "n" / f"cat-{i:03d}.png") for i in range(2)])
    expected = mc.generate.invert(mc.models.load(net), "cat", 2, recipe=mc.generate.InversionRecipe(steps=2), size=48)
    assert np.array_equal(np.rint(large * 255), np.floor(255 * expected + .5))
    assert Image.open("cat.png").width == 16 + 2 * (192 + 16) and Image.open("a.gif").n_frames == 5
    code, _, err = run("invert cat --size 16 --model", net)
    assert code == 1
    assert_one_line(err, "size (16, 16)", "(32, 32)")


def test_the_other_network_is_asked_what_it_sees(run, net, grey, tmp_path):
    _, out, _ = run("invert cat --count 2 --steps 3 --size 64 --native n --model", net)
    told = re.search(r"and what standard sees, a network that took no part in drawing them:\n  cat  (.*)\n", out)[1]
    pictures = [mc.read_image(tmp_path / "n" / f"cat-{i:03d}.png") for i in range(2)]
    small = np.stack([np.clip(mc.resize(picture, (32, 32), "lanczos"), 0, 1) for picture in pictures])
    share = mc.softmax(mc.predict(mc.models.load("standard"), small)).numpy()
    assert told == ", ".join(f"{CLASS_NAMES[row.argmax()]} {100 * row.max():.0f} %" for row in share)
    assert "standard" not in run("invert 2 --count 1 --steps 1 --model", grey)[1]        # it knows other classes
    assert "took no part" not in run("invert cat --count 1 --steps 1 --model standard")[1]


def test_all_draws_every_class(run, net, tmp_path):
    code, out, _ = run("invert --all --count 2 --steps 1 --native n --model", net)
    assert code == 0 and "wrote all.png, 20 pictures in n" in out
    assert sorted(path.name for path in (tmp_path / "n").iterdir()) == \
           sorted(f"{name}-{i:03d}.png" for name in CLASS_NAMES for i in range(2))
    rows = re.findall(r"^  (\w+) +\w+ \d+ %, \w+ \d+ %$", out, re.M)
    assert rows == 2 * CLASS_NAMES               # once what the network sees, once what the other one sees


def test_no_prior_starts_from_noise_and_is_not_smooth(run, net, tmp_path):
    run("invert cat --no-prior --steps 2 --count 2 --native plain --model", net)
    settings = json.loads(run("show-settings cat.png")[1])
    assert "--start noise" in settings["command"] and settings["command"].endswith("--no-prior")
    run("invert cat --steps 2 --count 2 --native usual --model", net)
    plain, usual = (mc.read_image(tmp_path / name / "cat-000.png") for name in ("plain", "usual"))
    assert np.abs(np.diff(plain, axis=1)).mean() > 3 * np.abs(np.diff(usual, axis=1)).mean()


def test_invert_draws_grey_pictures_grey_and_of_their_size(run, grey, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "photo.png")
    code, out, err = run("invert --all --count 2 --steps 2 --native n --animate a.gif --model", grey)
    assert code == 0 and not err and "wrote all.png, a.gif, 8 pictures in n" in out
    for path in (tmp_path / "n").iterdir():
        assert Image.open(path).size == (28, 28) and Image.open(path).mode == "L"
    sheet = np.asarray(Image.open("all.png"))
    assert sheet.shape[1] == 16 + 2 * (192 + 16)                 # enlarged to the usual size of a picture on a sheet
    first = sheet[16:16 + 192, 16:16 + 192]
    assert (first == first[:, :, :1]).all() and first.std() > 1
    assert run("invert 2 --count 1 --steps 1 -o 2.png --model", grey)[0] == 0
    assert "--size 28 --display 192" in json.loads(run("show-settings 2.png")[1])["command"]
    assert run("invert 2 --start photo.png --steps 0 --native p --model", grey)[0] == 0
    seen = np.clip(mc.resize(gradient_picture()[:, 10:50], (28, 28), "lanczos"), 0, 1) @ np.array([.299, .587, .114], "f")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "p" / "2-000.png")), np.floor(255 * seen + .5).astype(np.uint8))


def test_large_pictures_are_not_made_smaller_on_the_sheet(run, tmp_path):
    mc.save(mc.models.build("small", CLASS_NAMES, rng=0, widths=((4,),), size=200), tmp_path / "large.safetensors")
    assert run("invert cat --start noise --steps 1 --count 1 --model large.safetensors")[0] == 0
    assert Image.open("cat.png").width == 200 + 2 * 16
    assert run("invert cat --start noise --steps 1 --count 1 --display 64 -o s.png --model large.safetensors")[0] == 0
    assert Image.open("s.png").height < 64 + 80


def test_invert_draws_what_excites_a_unit(run, net, tmp_path):
    words = "invert --target-layer features.5 --unit 3 --count 2 --steps 5 --native n --animate a.gif --model"
    code, out, err = run(words, net)
    assert code == 0 and not err
    assert "wrote features.5-unit-3.png, a.gif, 2 pictures in n" in out
    drawn = np.stack([mc.read_image(tmp_path / "n" / f"features.5-unit-3-{i:03d}.png") for i in range(2)])
    model = mc.models.load(net).eval()
    answers = model.features[:6](mc.tensor(drawn)).data[..., 3].mean(axis=(1, 2))
    told = re.search(r"^how strongly the unit answers:\n  features.5-unit-3  (\S+), (\S+)$", out, re.M)
    assert [float(told[1]), float(told[2])] == pytest.approx(answers.tolist(), rel=1e-2)
    command = json.loads(run("show-settings features.5-unit-3.png")[1])["command"]
    assert command.startswith("minicnn invert --target-layer features.5 --unit 3 --count 2")
    first = Path("features.5-unit-3.png").read_bytes()
    shutil.copy(net, tmp_path / "tiny.safetensors")
    assert run(command.removeprefix("minicnn "), "-o", "again.png")[0] == 0
    assert Path("again.png").read_bytes() == first


def test_unknown_layers_and_units_are_one_line(run, net, tmp_path):
    code, out, err = run("invert --target-layer conv --unit 0 --model", net)
    assert code == 1 and not out
    assert_one_line(err, "no layer 'conv'", "features.0, features.1", "minicnn summary")
    code, out, err = run("invert --target-layer features.1 --unit 4 --model", net)
    assert code == 1 and not out and not list(tmp_path.iterdir())
    assert_one_line(err, "features.1", "no unit 4", "0 to 3")


def test_a_silent_unit_is_told(run, tmp_path):
    model = mc.models.build("small", CLASS_NAMES, rng=0, widths=((4,),))
    model.features[2].bias.data[1] = -1e3
    mc.save(model, tmp_path / "silent.safetensors")
    words = "invert --unit 1 --count 1 --steps 2 --start noise --model silent.safetensors --target-layer"
    assert "(0: it is silent there" in run(f"{words} features.3")[1]
    assert "silent" not in run(f"{words} features.2")[1]


def test_the_batch_norm_prior_is_kept_in_the_settings_and_needs_batch_norm(run, net, grey):
    words = "invert cat --count 2 --steps 6 --native"
    for folder, prior in [("without", ""), ("zero", "--bn-prior 0"), ("some", "--bn-prior 2.5")]:
        assert run(f"{words} {folder} {prior} --model", net)[0] == 0
    without, zero, some = (Path(folder, "cat-000.png").read_bytes() for folder in ("without", "zero", "some"))
    assert without == zero != some
    assert json.loads(run("show-settings some/cat-000.png")[1])["command"].endswith(" --bn-prior 2.5")
    code, out, err = run("invert 2 --bn-prior .1 --model", grey)
    assert code == 1 and not out
    assert_one_line(err, "no BatchNorm2d", "batch-norm prior at 0")


def test_invert_without_statistics_of_the_training_pictures(run, tmp_path):
    mc.save(mc.models.build("small", CLASS_NAMES, rng=0, widths=((4,),)), tmp_path / "bare.safetensors")
    code, _, err = run("invert cat --model bare.safetensors")
    assert code == 1
    assert_one_line(err, "no statistics", "noise")
    assert run("invert cat --model bare.safetensors --start noise --steps 1 --count 1")[0] == 0


def test_native_that_is_a_file_is_refused_before_the_work(run, net, tmp_path):
    (tmp_path / "taken").write_text("mine")
    code, _, err = run("invert cat --native taken --model", net)
    assert code == 1 and not (tmp_path / "cat.png").exists()
    assert_one_line(err, "taken is a file", "folder")


def test_show_settings_of_a_foreign_picture(run, tmp_path):
    Image.fromarray(gradient_picture()).save(tmp_path / "a.png")
    code, out, err = run("show-settings a.png")
    assert code == 1 and not out
    assert_one_line(err, "a.png holds no settings")


# ---- train, evaluate -----------------------------------------------------------------------------------------------

SMALL = "train --widths 4/6 --batch 20 --lr .1 --average .8 --epsilon .5"


def test_train_evaluate_and_use(run, cifar, tmp_path):
    code, out, err = run(f"{SMALL} --epochs 2 -o net.safetensors --data", cifar)
    assert code == 0 and not err
    assert re.search(r"network small: [\d,]+ parameters; on the CPU, \d+ threads", out)
    assert re.search(r"s a step: about .* for the rest", out) and len(re.findall(r"^epoch   [12]/2", out, re.M)) == 2
    told = re.search(r"wrote net.safetensors: ([\d.]+)% of 40 test pictures recognised", out)
    metadata = weights.read("net.safetensors")[1]
    model, test = mc.models.load("net.safetensors"), load_cifar10(cifar, "test")
    assert float(metadata["test_accuracy"]) == mc.accuracy(model, test) == pytest.approx(float(told[1]) / 100)
    assert metadata["made_by"].startswith("minicnn train --data DIR --network small --widths 4/6 --augment standard "
                                          "--optimizer sgd --schedule onecycle --lr 0.1 --epochs 2 --batch 20")
    assert str(tmp_path) not in json.dumps(metadata) and cifar not in json.dumps(metadata)
    assert json.loads(metadata["settings"])["epsilon"] == .5
    assert run("invert cat --count 1 --steps 1 --model net.safetensors")[0] == 0
    expected = mc.accuracy(model, test, lambda m, x, labels: mc.l2_attack(m, x, labels, .4, .2, 3))
    code, out, _ = run("evaluate --model net.safetensors --attack l2 --epsilon .4 --step .2 --steps 3 --data", cifar)
    rows = {line.split()[0]: line.split()[1:4] for line in out.splitlines()[2:]}
    assert code == 0 and list(rows) == [*CLASS_NAMES, "all", "mean", "ECE"]
    assert all(row[0] == "4" for row in list(rows.values())[:10])
    assert rows["all"] == ["40", f"{mc.accuracy(model, test):.2%}", f"{expected:.2%}"]
    hits = mc.predict(model, test.images_float()).argmax(axis=1) == test.labels
    assert [row[1] for row in list(rows.values())[:10]] == [f"{hits[test.labels == k].mean():.2%}" for k in range(10)]


def test_the_network_that_is_kept_can_be_made_again_by_its_own_command(run, cifar, monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_DATA", cifar)
    assert run(f"{SMALL} --epochs 1 --limit 100 --seed 3 -o net.safetensors")[0] == 0
    command = weights.read("net.safetensors")[1]["made_by"]
    first = Path("net.safetensors").read_bytes()
    (tmp_path / "net.ckpt").unlink()
    assert "--data cifar10 " in command          # by its name, wherever it was found
    assert run(command.removeprefix("minicnn "))[0] == 0
    assert Path("net.safetensors").read_bytes() == first


def test_learning_on_begins_with_the_weights_of_another_network_and_tells_both_commands(run, cifar):
    assert run(f"{SMALL} --epochs 1 -o first.safetensors --data", cifar)[0] == 0
    code, out, err = run("train --epochs 1 --batch 20 --lr 1e-9 --average 0 --from first.safetensors -o second.safetensors "
                         "--data", cifar)
    assert code == 0 and not err
    first, second = (weights.read(f"{name}.safetensors") for name in ("first", "second"))
    np.testing.assert_allclose(second[0]["features.1.weight"], first[0]["features.1.weight"], atol=1e-3)
    before, _, own = second[1]["made_by"].partition(" && ")
    assert before == first[1]["made_by"] and own.startswith("minicnn train --data DIR --from first.safetensors --augment standard")
    code, _, err = run("train --widths 4 --from first.safetensors -o third.safetensors --data", cifar)
    assert code == 2 and "--widths is for a new network" in err


def test_a_checkpoint_is_not_overwritten_and_resume_goes_on(run, cifar):
    assert run(f"{SMALL} --epochs 1 -o net.safetensors --data", cifar)[0] == 0
    before = Path("net.ckpt").read_bytes()
    code, _, err = run(f"{SMALL} --epochs 1 -o net.safetensors --data", cifar)
    assert code == 1 and Path("net.ckpt").read_bytes() == before
    assert_one_line(err, "net.ckpt", "--resume", "delete it", "another -o")
    code, _, err = run(f"{SMALL} --epochs 2 -o net.safetensors --resume --data", cifar)
    assert code == 1
    assert_one_line(err, "net.ckpt", "epochs was 1, now 2")
    code, _, err = run(f"{SMALL} --widths 4/7 --epochs 1 -o net.safetensors --resume --data", cifar)
    assert code == 1
    assert_one_line(err, "net.ckpt is a training run with other settings (network.features.5.weight was", "[3, 3, 4, 7]")
    code, out, _ = run(f"{SMALL} --epochs 1 -o net.safetensors --resume --data", cifar)
    assert code == 0 and "going on after 1 epochs and 0 steps" in out


@pytest.mark.parametrize("field", ["place", "settings"])
def test_a_damaged_checkpoint_is_named(run, cifar, field):
    words = f"{SMALL} --epochs 1 -o net.safetensors --data"
    assert run(words, cifar)[0] == 0
    state, metadata = weights.read("net.ckpt")
    for text in ("{", "[]", "7", "{}")[:4 if field == "place" else 3]:
        weights.save(state, "net.ckpt", {**metadata, field: text})
        code, _, err = run(f"{words.replace('--data', '--resume --data')}", cifar)
        assert code == 1
        assert_one_line(err, "net.ckpt is damaged: delete it, and begin anew without --resume (")
    weights.save({"x": np.zeros(3, np.float32)}, "net.ckpt", metadata)
    assert_one_line(run(f"{SMALL} --epochs 1 -o net.safetensors --resume --data", cifar)[2], "net.ckpt is damaged")
    Path("net.ckpt").write_bytes(Path("net.ckpt").read_bytes()[:-5])
    assert_one_line(run(f"{SMALL} --epochs 1 -o net.safetensors --resume --data", cifar)[2], "net.ckpt cannot be read")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise on Windows")
def test_ctrl_c_in_training_says_how_to_go_on_and_the_end_is_the_same(run, cifar, tmp_path):
    words = [*shlex.split(f"{SMALL} --epochs 6 --data"), cifar, "-o"]
    process = start_process(*words, "net.safetensors", cwd=tmp_path)
    for line in process.stdout:
        if line.startswith("epoch   1/"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    again = shlex.split(err.splitlines()[-1])
    assert again == ["minicnn", *words, "net.safetensors", "--resume"]
    assert not (tmp_path / "net.safetensors").exists() and (tmp_path / "net.ckpt").exists()
    assert run(shlex.join(again[1:]))[0] == 0
    assert run(shlex.join([*words, "undisturbed.safetensors"]))[0] == 0
    stopped, undisturbed = (weights.read(name)[0] for name in ("net.safetensors", "undisturbed.safetensors"))
    assert all(np.array_equal(stopped[name], undisturbed[name]) for name in undisturbed)


def test_pictures_that_cannot_be_read_are_told_in_a_line(run, tmp_path):
    """The others are learned; nobody wants to see where in the code the warning was made."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "own" / name / f"{i}.png")
    (tmp_path / "own" / "one" / "broken.jpg").write_bytes(b"not a picture")
    code, out, err = run("train --widths 4/6 --batch 5 --epochs 1 -o own.safetensors --data", str(tmp_path / "own"))
    assert code == 0 and "of 5 test pictures recognised" in out and re.search(r"classes: one (9|10), two (9|10)$", out, re.M)
    assert all(line.startswith("minicnn: warning: ") and "one/broken.jpg" in line for line in err.splitlines())
    assert len(err.splitlines()) == 1 and Path("own-curves.csv").exists() and Path("own-curves.png").exists()


def test_too_few_pictures_are_refused_before_the_training(run, cifar):
    code, out, err = run("train --limit 12 -o net.safetensors --data", cifar)
    assert code == 1 and not out
    assert_one_line(err, "of the 12 pictures", "--limit")


def test_evaluate_writes_pictures_and_figures_that_agree_with_what_it_prints(run, net, cifar):
    words = f"evaluate --model {net} --attack linf --epsilon 16/255 --step 4/255 --steps 2 --limit 30"
    code, out, err = run(f"{words} --confusion c.png --mistakes m.png --json f.json --data", cifar)
    assert code == 0 and not err
    assert out.startswith("attack: L-infinity, radius 16/255, 2 steps of 4/255\n")
    assert out.splitlines()[-3:] == ["wrote c.png", "wrote m.png", "wrote f.json"]
    found, test = json.loads(Path("f.json").read_text()), load_cifar10(cifar, "test", 30)
    assert found["pictures"] == 30 and found["class_names"] == CLASS_NAMES and found["weights"] == weights.hash_of(net)
    assert found["attack"] == {"norm": "linf", "epsilon": 16 / 255, "step": 4 / 255, "steps": 2}
    model = mc.models.load(net)
    assert found["plain"]["accuracy"] == mc.accuracy(model, test)
    assert found["attacked"]["accuracy"] == mc.accuracy(model, test, lambda m, x, labels: mc.linf_attack(
        m, x, labels, 16 / 255, 4 / 255, 2))
    for column in (found["plain"], found["attacked"]):
        np.testing.assert_array_equal(np.sum(column["confusion"], axis=1), np.bincount(test.labels, minlength=10))
        assert f"{column['expected_calibration_error']:.2%}" in out.partition("\nECE")[2]
        assert f"{column['mean_confidence']:.2%}" in out.partition("\nmean confidence")[2]
    for name, option in [("c", "confusion"), ("m", "mistakes")]:
        settings = json.loads(run(f"show-settings {name}.png")[1])
        assert settings["weights"] == weights.hash_of(net) and settings["model"] == Path(net).name
        assert settings["command"].startswith("minicnn evaluate --data DIR --model tiny.safetensors --limit 30 --attack ")
        assert settings["command"].endswith(f"--steps 2 --{option} {name}.png") and cifar not in str(settings)
        first = Path(f"{name}.png").read_bytes()
        again = shlex.split(settings["command"])[1:]
        again[again.index("DIR")], again[again.index("tiny.safetensors")] = cifar, net
        assert run(shlex.join(again))[0] == 0 and Path(f"{name}.png").read_bytes() == first


def test_evaluate_shows_the_mistakes_of_the_network_and_the_matrix_of_the_data(run, net, cifar):
    """Without an attack the sheet's first picture is the surest mistake itself, four times enlarged."""
    assert run(f"evaluate --model {net} --mistakes m.png --confusion c.png --data", cifar)[0] == 0
    test, model = load_cifar10(cifar, "test"), mc.models.load(net)
    said = mc.evaluation.evaluate(model, test)
    worst = mc.evaluation.surest_mistakes(said.probabilities, test.labels)
    sheet = np.asarray(Image.open("m.png"))
    enlarged = mc.resize(test.images[worst[0]], 128, "bicubic")
    top = next(y for y in range(sheet.shape[0]) if np.abs(sheet[y:y + 128, 16:144] / 255 - enlarged).max() < .3)
    np.testing.assert_allclose(sheet[top:top + 128, 16:144] / 255, np.clip(enlarged, 0, 1), atol=.6 / 255)
    picture = mc.evaluation.confusion_picture(mc.evaluation.confusion_matrix(said.probabilities, test.labels), CLASS_NAMES)
    drawn = np.asarray(Image.open("c.png"))
    assert np.array_equal(drawn[-440:, -440:], picture[-440:, -440:])            # the same, below the title


def test_evaluate_without_an_attack_has_one_column_and_null_for_a_class_without_pictures(run, net, cifar):
    code, out, _ = run(f"evaluate --model {net} --limit 3 --json f.json --data", cifar)
    found = json.loads(Path("f.json").read_text())
    assert code == 0 and "attacked" not in out and found["attack"] is None and "attacked" not in found
    labels = load_cifar10(cifar, "test", 3).labels
    assert [share is None for share in found["plain"]["class_accuracy"]] == [k not in labels for k in range(10)]
    assert len(re.findall(r" 0         -$", out, re.M)) == 10 - len(set(labels))


def test_evaluate_takes_the_defaults_of_each_norm(run, net, cifar):
    for norm, said in [("l2", "attack: L2, radius 0.5, 10 steps of 0.1\n"),
                       ("linf", "attack: L-infinity, radius 8/255, 10 steps of 2/255\n")]:
        assert run(f"evaluate --model {net} --limit 2 --attack {norm} --data", cifar)[1].startswith(said)
    out = run(f"evaluate --model {net} --limit 2 --attack l2 --epsilon 0 --data", cifar)[1]
    assert out.startswith("attack: L2, radius 0, 10 steps")


def test_evaluate_without_a_mistake_says_so(run, net, cifar, monkeypatch):
    monkeypatch.setattr("minicnn.training.evaluation.surest_mistakes", lambda *_: np.zeros(0, int))
    code, out, _ = run(f"evaluate --model {net} --limit 3 --mistakes m.png --data", cifar)
    assert code == 0 and out.endswith("m.png is not written: there is no mistake to show\n") and not Path("m.png").exists()


@pytest.mark.parametrize("words, parts", [
    ("--confusion none/c.png", ["none/c.png", "no folder none"]), ("--mistakes m.bmp", ["m.bmp", ".png"]),
    ("--json f.txt", ["f.txt", ".json"]), ("--json . ", ["must end in .json"])])
def test_evaluate_refuses_places_before_the_work(run, words, parts):
    code, out, err = run(f"evaluate {words} --data nix --model nix")
    assert code == 1 and not out
    assert_one_line(err, *parts)


def test_a_network_of_other_classes_is_not_evaluated(run, cifar, tmp_path):
    mc.save(mc.models.build("small", ["cat", "dog"], rng=0, widths=((4,),)), tmp_path / "two.safetensors")
    code, _, err = run("evaluate --model two.safetensors --data", cifar)
    assert code == 1
    assert_one_line(err, "cat, dog", "airplane", "other data")


# ---- weights -------------------------------------------------------------------------------------------------------

@pytest.fixture
def foreign_weights(monkeypatch, tmp_path):
    """The path of a file as PyTorch writes it, with a small network of four classes; the cache is empty."""
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "weights").mkdir(parents=True)
    Image.fromarray(gradient_picture()).save(tmp_path / "photo.png")
    return save_zip(tmp_path / "net.pth", theirs(mc.models.build("lenet5", list("0123"), rng=0)))


@pytest.mark.parametrize("action", ["list", "download", "import", "show"])
def test_help_of_the_actions_with_weights(run, action):
    code, out, err = run(f"weights {action} --help")
    assert code == 0 and not err and max(map(len, out.splitlines())) <= 120
    for line in out.partition("examples:\n")[2].strip().splitlines():
        assert line.strip().startswith(f"minicnn weights {action}")
        make_parser().parse_args(shlex.split(line)[1:])


def test_published_weights_are_listed_with_what_is_here(run, foreign_weights):
    code, out, err = run("weights list")
    rows = {line.split()[0]: line for line in out.splitlines()[1:14] if line}
    assert code == 0 and not err and list(rows) == list(PUBLISHED)
    assert "143.7 million    575 MB  72.4 %  BSD-3-Clause (torchvision)" in rows["vgg19"] and rows["vgg19"].endswith(" no")
    assert "home/weights" in out
    mc.save(mc.models.build("vgg11", width=8, features_only=True), cached("vgg11"))
    assert re.search("^vgg11 .* features, 1 MB$", run("weights list")[1], re.M)


def test_what_is_in_a_file_is_shown(run, foreign_weights):
    code, out, err = run("weights show net.pth")
    assert code == 0 and not err
    assert re.search(r"^features.1.weight +float32 +6 x 3 x 5 x 5 +1,800$", out, re.M)
    assert "PyTorch: 10 arrays, 61,496 numbers, 0.2 MB" in out
    np.savez("net.npz", one=np.array(3), mask=np.zeros((2, 3), bool))
    assert re.search(r"^one +int64 +one number +8\nmask +bool +2 x 3 +6$", run("weights show net.npz")[1], re.M)
    weights.save({"a": np.ones(3)}, "net.safetensors", {"by": "me\x1b[2J" + "x" * 500, **{f"k{k}": "" for k in range(30)}})
    out = run("weights show net.safetensors")[1]
    assert "safetensors: 1 arrays" in out and "by: me [2J" in out and "\x1b" not in out and "and 11 more remarks" in out
    assert max(map(len, out.splitlines())) <= 205


def test_a_file_of_others_is_converted_and_used(run, foreign_weights):
    Path("names.txt").write_text("north\neast\nsouth\nwest\n")
    code, out, err = run("weights import net.pth --network lenet5 --classes names.txt -o my.safetensors")
    assert code == 0 and not err and "wrote my.safetensors (0.2 MB): use it with --model my.safetensors" in out
    code, out, _ = run("classify photo.png --model my.safetensors")
    assert code == 0 and "south" in out
    code, out, _ = run("weights import net.pth --network lenet5 --dtype float16")
    assert code == 0 and "use it with --model lenet5" in out and cached("lenet5").stat().st_size < 140_000
    assert run("classify photo.png --model lenet5")[0] == 0


def test_weights_of_another_network_are_shown_beside_it(run, foreign_weights):
    code, out, err = run("weights import net.pth --network lenet5 --channels 1 -o my.safetensors")
    *table, last = err.splitlines()
    assert code == 1 and not out and not Path("my.safetensors").exists()
    assert [" ".join(line.split()) for line in table] == [
        "file model", "other shape features.1.weight (6, 3, 5, 5) (6, 1, 5, 5)"]
    assert_one_line(last + "\n", "net.pth does not fit this model of 10 arrays (1 differ)")


def test_published_weights_are_downloaded(run, foreign_weights, mirror, monkeypatch):
    content = foreign_weights.read_bytes()
    server = mirror({"net.pth": content})
    files = (Remote("net.pth", None, hashlib.sha256(content).hexdigest(), (server.url,)),)
    monkeypatch.setitem(PUBLISHED, "lenet", Published("lenet5", files, 61_496, None, preprocessing=None))
    code, out, err = run("weights download lenet")
    assert code == 0 and not err and out == f"wrote {cached('lenet')} (0.2 MB): use it with --model lenet\n"
    code, out, err = run("weights download lenet")
    assert code == 0 and "is here already: remove it to download it again" in out and len(server.asked) == 1
    cached("lenet").unlink()
    server.files.clear()
    code, out, err = run("weights download lenet")
    assert code == 1 and not out
    assert_one_line(err, "cannot download net.pth", "Not Found", f"download {server.url}net.pth elsewhere and put it into")


@pytest.mark.parametrize("words, said", [
    ("weights", "ACTION"), ("weights download", "NAME"), ("weights import", "FILE"), ("weights show", "FILE"),
    ("weights import net.pth --dtype int8", "int8"), ("weights import net.pth --network vgg20", "'vgg20' is none of"),
    ("weights import net.pth --preprocessing none", "'caffe'")])
def test_wrong_usage_of_weights(run, words, said):
    code, out, err = run(words)
    assert code == 2 and not out and said in err.splitlines()[-1]


@pytest.mark.parametrize("words, parts", [
    ("weights show nowhere.pth", ["there is no weights file nowhere.pth"]),
    ("weights show page.pth", ["page.pth cannot be read: it is a web page"]),
    ("weights import page.pth --network vgg19", ["page.pth cannot be read: it is a web page"]),
    ("weights import net.pth", ["net.pth is none of the published files", "--network"]),
    ("weights import net.pth --network lenet5 -o my.pth", ["cannot write my.pth", ".safetensors"]),
    ("weights import net.pth --network lenet5 -o no/my.safetensors", ["there is no folder no"]),
    ("weights import net.pth --network lenet5 --features", ["features_only"]),
    ("weights download vgg20", ["nothing is known of published weights 'vgg20'", "vgg19-caffe"]),
    ("classify photo.png --model vgg19", ["weights of vgg19 are not here yet: minicnn weights download vgg19"])])
def test_errors_with_weights(run, foreign_weights, words, parts):
    Path("page.pth").write_text("<!DOCTYPE html><title>404</title>")
    code, out, err = run(words)
    assert code == 1 and not out
    assert_one_line(err, *parts)


# ---- gradcheck, summary, doctor ------------------------------------------------------------------------------------

def test_gradcheck_shows_a_table(run):
    code, out, err = run("gradcheck dense --seed 2")
    assert code == 0 and not err and "weight" in out and "all gradients right" in out


def test_gradcheck_of_a_file(run, tmp_path):
    source = """
import minicnn as mc

@mc.differentiable
def square(x):
    return x * x, (lambda dy: dy * x * {factor},)
"""
    (tmp_path / "right.py").write_text(source.format(factor=2))
    (tmp_path / "wrong.py").write_text(source.format(factor=3))
    assert run("gradcheck right.py:square")[0] == 0
    code, out, err = run("gradcheck wrong.py:square")
    assert code == 1 and "FAILED" in out and not err


def test_summary_of_a_file_and_of_a_kind(run, net):
    code, out, _ = run("summary --model", net)
    assert code == 0 and "Conv2d(3, 4, 3x3)" in out and "total" in out
    code, out, _ = run("summary --network small")
    assert code == 0 and "433,922" in out
    code, out, _ = run("summary --size 64 --model", net)
    assert code == 0 and re.search(r"Conv2d\(3, 4, 3x3\) +64 x 64 x 4", out)


@pytest.mark.parametrize("network", mc.models.SMALL)
def test_summary_of_every_small_network(run, network):
    code, out, err = run(f"summary --network {network}")
    total = sum(p.size for p in mc.models.build(network, CLASS_NAMES, rng=0).parameters())
    assert code == 0 and not err and out.splitlines()[-1].split()[:2] == ["total", f"{total:,}"]
    code, out, _ = run(f"summary --network {network} --channels 1 --size 28")
    assert code == 0 and re.search(r"^features.0 +Standardize\(.*\) +28 x 28 x 1 ", out, re.M)


def test_summary_of_a_network_for_photographs_has_a_thousand_classes_and_the_names_of_its_layers(run):
    code, out, err = run("summary --network VGG16_BN --size 32")
    assert code == 0 and not err and out.splitlines()[-1].split()[:2] == ["total", "138,365,992"]
    assert re.search(r"^features.24 +Conv2d\(256, 512, 3x3\) +4 x 4 x 512 .* conv4_1$", out, re.M)
    assert re.search(r"^classifier.6 +Dense\(4096, 1000\) .* fc8$", out, re.M)
    code, _, err = run("summary --network alexnet --size 62")
    assert code == 1
    assert_one_line(err, "alexnet: pictures of 62x62", "at least 63x63")


def test_summary_of_a_network_of_ones_own(run, tmp_path):
    (tmp_path / "nets.py").write_text("""
import minicnn as mc

def flat(class_names, rng):
    return mc.Sequential(mc.GlobalAvgPool2d(), mc.Dense(3, len(class_names), rng=rng))
""")
    code, out, _ = run("summary --network nets.py:flat")
    assert code == 0 and re.search(r"^network.1 +Dense\(3, 10\) +10 +40 +30 ", out, re.M)
    mc.save(mc.models.build("nets.py:flat", CLASS_NAMES, rng=0), "flat.safetensors")
    code, _, err = run("summary --model flat.safetensors")
    assert code == 1
    assert_one_line(err, "flat.safetensors", "'nets.py:flat'", "to run that file, name it")


def test_doctor_tells_what_there_is(run, monkeypatch):
    code, out, err = run("doctor")
    assert code == 0 and not err
    found = dict(re.split("  +", line, maxsplit=1) for line in out.splitlines())
    assert found["minicnn"] == mc.__version__ and found["NumPy"] == np.__version__
    assert {"Python", "BLAS", "threads", "array library", "Pillow", "safetensors", "networks"} <= found.keys()
    assert re.match(r"[1-9]\d* GFLOP/s", found["matrix product"])
    assert mc.gpu_status() in found["array library"] or "available" == mc.gpu_status()


def test_a_thread_count_that_is_none(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINICNN_THREADS": "many"}
    done = subprocess.run([sys.executable, "-m", "minicnn", "doctor"], env=environment, capture_output=True, text=True,
                          cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert_one_line(done.stderr, "MINICNN_THREADS", "'many'")


# ---- The network that ships ----------------------------------------------------------------------------------------

def test_the_shipped_network_draws_what_it_is_asked_for(run, tmp_path):
    code, out, _ = run("invert cat --count 4")
    assert code == 0 and len(re.findall(r"cat \d+ %", out)) >= 7, out           # four of its own, and standard's
    settings = json.loads(run("show-settings cat.png")[1])
    assert settings["model"] == "robust" and settings["weights"] == weights.hash_of(mc.models.find("robust"))
