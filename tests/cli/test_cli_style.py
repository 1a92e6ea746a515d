"""`minicnn style` as it is used: files in, a file out, and everything that can be asked for on the way."""
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn.cli import main
from minicnn.files import weights
from minicnn.generate.style.colour import chroma
from minicnn.generate.style.one_pass import StylizerTraining
from minicnn.generate.style.transfer import Transfer

ROOT = Path(__file__).resolve().parents[2]
FEW = "--first-steps 4 --steps 2 --smallest 24 --size 48"


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """The path of a small network that was never trained."""
    path = tmp_path_factory.mktemp("net") / "tiny.safetensors"
    mc.save(mc.models.build("small", ["cat", "dog"], rng=0, widths=((6,), (8,), (8,))), path)
    return str(path)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch, net):
    """run("style a.png b.png -o c.png")  ->  (exit code, stdout, stderr), in a folder with three pictures."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, (height, width) in {"photo": (40, 60), "one": (50, 50), "two": (30, 70)}.items():
        smooth = mc.resize(rng.random((5, 6, 3), dtype=np.float32), (height, width), "bicubic")
        mc.write_image(np.clip(smooth, 0, 1), f"{name}.png")

    def call(words):
        code = main([*shlex.split(words), "--model", net])
        return code, *capsys.readouterr()
    return call


def test_two_pictures_in_one_out(run):
    code, out, err = run(f"style photo.png one.png -o out.png {FEW} --animate out.gif")
    assert code == 0 and not err
    assert "8 steps, longer side 24 -> 34 -> 48 pixels" in out and "wrote out.png, 48 x 32 pixels" in out
    with Image.open("out.png") as picture, Image.open("out.gif") as animation:
        assert picture.size == (48, 32) and picture.mode == "RGB"
        assert animation.n_frames >= 8 and animation.size == (256, 171)
    assert not Path("out.png.ckpt").exists()


def test_the_same_command_gives_the_same_file_and_says_how_it_was_made(run, net):
    for name in ("a", "b"):
        assert run(f"style photo.png one.png two.png --weights 2,1 -o {name}.png --start noise --seed 5 {FEW}")[0] == 0
    with Image.open("a.png") as one, Image.open("b.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
    before = Path("a.png").read_bytes()
    assert run(f"style photo.png one.png two.png --weights 2,1 -o a.png --start noise --seed 5 {FEW}")[0] == 0
    assert Path("a.png").read_bytes() == before
    settings = mc.images.read_settings("a.png")
    assert settings["command"].startswith("minicnn style photo.png one.png two.png --weights 2,1 -o a.png")
    assert settings["command"].endswith("--model tiny.safetensors") and settings["seed"] == 5
    assert len(settings["pictures"]) == 3 and str(Path(net).parent) not in json.dumps(settings)


def test_what_is_asked_for_reaches_the_transfer(run):
    plain = run(f"style photo.png one.png -o plain.png {FEW}")
    assert plain[0] == 0
    for options in ("--content-weight 9", "--style-weight 9", "--smoothness 90", "--lr .1", "--average 0", "--pooling max",
                    "--loss gram", "--loss w2", "--loss mean-std", "--loss sliced", "--optimizer lbfgs", "--start matched",
                    "--style-layers relu1_1", "--style-layers relu1_1=1,features.7=3", "--content-layers relu2_1",
                    "--style-scale 2", "--colours keep", "--colours pca", "--preset fast", "--start two.png",
                    "--dtype float64 --start noise"):
        code, _, err = run(f"style photo.png one.png -o other.png {FEW} {options}")
        assert code == 0, err
        assert Path("other.png").read_bytes() != Path("plain.png").read_bytes(), options


def test_kept_colours_are_those_of_the_content(run):
    assert run(f"style photo.png one.png -o out.png {FEW} --colours keep")[0] == 0
    content = np.clip(mc.resize(mc.read_image("photo.png"), (32, 48), "lanczos"), 0, 1)
    kept = np.abs(chroma(mc.read_image("out.png")) - chroma(content)).mean()
    assert run(f"style photo.png one.png -o out.png {FEW}")[0] == 0
    assert kept < .005 and kept < .2 * np.abs(chroma(mc.read_image("out.png")) - chroma(content)).mean()


def test_opacity_is_kept(run):
    picture = np.asarray(Image.open("photo.png"))
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:, 30:] = 255
    Image.fromarray(np.dstack([picture, alpha])).save("clear.png")
    assert run(f"style clear.png one.png -o out.png {FEW}")[0] == 0
    with Image.open("out.png") as image:
        opacity = np.asarray(image.getchannel("A"))
    assert opacity.shape == (32, 48) and (opacity[:, :22] == 0).all() and (opacity[:, 26:] == 255).all()


@pytest.mark.parametrize("white", [False, True])
def test_half_transparent_content_keeps_its_own_colours(run, white):
    """A dark picture, half transparent, becomes what the same opaque picture becomes: not a pale one."""
    dark = (np.asarray(Image.open("photo.png")) * .4).astype(np.uint8)
    Image.fromarray(dark).save("dark.png")
    alpha = np.full((40, 60, 1), 128, np.uint8)
    alpha[:, 50:] = 0 if white else 128
    Image.fromarray(np.concatenate([dark, alpha], axis=2)).save("half.png")
    Image.fromarray(np.where(alpha == 0, 255, dark).astype(np.uint8)).save("expected.png")
    for name in ("half", "expected"):
        assert run(f"style {name}.png one.png -o {name}-out.png {FEW} --start content")[0] == 0
    with Image.open("half-out.png") as half, Image.open("expected-out.png") as expected:
        assert half.mode == "RGBA"
        away = np.abs(np.asarray(half)[..., :3].astype(int) - np.asarray(expected))
    assert away.max() <= 1


def test_masks_are_one_for_each_style(run):
    left = np.zeros((10, 10), np.uint8)
    left[:, :5] = 255
    Image.fromarray(left).save("left.png")
    Image.fromarray(255 - left).save("right.png")
    assert run(f"style photo.png one.png two.png --masks left.png,right.png -o out.png {FEW}")[0] == 0
    code, _, err = run(f"style photo.png one.png two.png --masks left.png -o out.png {FEW}")
    assert code == 2 and "--masks has 1 entries for 2 styles" in err


def test_weights_count_with_masks_too(run):
    for name, half in (("left", np.arange(60) < 30), ("right", np.arange(60) >= 30)):
        Image.fromarray(np.tile(half, (40, 1)).astype(np.uint8) * 255).save(f"{name}.png")
    for name, shares in (("alike", "1,1"), ("unlike", "9,1")):
        words = f"style photo.png one.png two.png --masks left.png,right.png --weights {shares} -o {name}.png {FEW}"
        code, _, err = run(words)
        assert code == 0 and not err
    assert np.abs(mc.read_image("alike.png") - mc.read_image("unlike.png")).max() > 2 / 255


def test_a_black_mask_is_refused_and_a_stretched_one_told_once(run):
    Image.new("L", (60, 40)).save("black.png")
    code, _, err = run(f"style photo.png one.png --masks black.png -o out.png {FEW}")
    assert code == 1 and "the mask black.png is black everywhere: paint white where its style is wanted" in err
    Image.new("L", (50, 50), 255).save("square.png")
    Image.new("L", (30, 20), 255).save("small.png")
    code, _, err = run(f"style photo.png one.png two.png --masks square.png,small.png -o out.png {FEW}")
    assert code == 0 and err == ("minicnn: warning: photo.png has 60 x 40 pixels, and masks of other proportions are "
                                 "stretched to it: square.png (50 x 50)\n")


# The peak as the process's own memory knows it: ru_maxrss begins with that of the process that started it, of all these tests.
IN_BOUNDS = """
import sys
from minicnn.cli import main
code = main(sys.argv[1:])
peak, = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) * 1024)
sys.exit(code)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc, which can be told how to use memory")
@pytest.mark.parametrize("bound", [310, 400])
def test_memory_bounds_all_that_the_process_takes(run, net, bound):
    mc.write_image(np.clip(mc.resize(mc.read_image("photo.png"), (1000, 1500), "bicubic"), 0, 1), "large.png")
    words = f"style large.png one.png -o out.png --size 1500 --smallest 1500 --first-steps 2 --memory {bound} --model {net}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", IN_BOUNDS, *words.split()], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) < bound * 1e6


def test_too_little_memory_is_refused_with_how_much_it_takes_and_a_short_history_is_told(run):
    code, _, err = run("style photo.png one.png -o out.png --size 1500 --memory 200")
    assert code == 1 and "200 MB are too little memory: a picture of 1500 x 1000 pixels needs at least " in err
    code, out, _ = run("style photo.png one.png -o out.png --size 300 --smallest 300 --first-steps 1 --optimizer lbfgs "
                       "--memory 150")
    assert code == 0 and "L-BFGS keeps" in out and "of its past steps, not 100: --memory has no room for more" in out


def test_tiles_within_a_given_memory_change_nothing_that_can_be_seen(run):
    big = "--size 400 --smallest 400 --first-steps 2"
    for name, memory in (("whole", ""), ("tiled", "--memory 116")):
        code, _, err = run(f"style photo.png one.png -o {name}.png {big} {memory}")
        assert code == 0, err
    assert np.abs(mc.read_image("whole.png") - mc.read_image("tiled.png")).mean() < 2 / 255
    code, _, err = run(f"style photo.png one.png -o out.png {big} --memory 1")
    assert code == 1 and "too little memory" in err


@pytest.mark.parametrize("words, parts", [
    ("style photo.png none.png -o out.png", ["there is no picture none.png"]),
    ("style photo.png one.png -o out.bmp", ["out.bmp", ".png"]),
    ("style photo.png one.png -o out.png --animate out.mp4", ["out.mp4", ".gif"]),
    ("style photo.png one.png -o out.png --style-layers relu9_9", ["no layer 'relu9_9'"]),
    ("style photo.png one.png -o out.png --style-weight 1e20", ["between 0 and 1e+12"]),
    ("style photo.png one.png -o out.png --resume", ["out.png.ckpt"])])
def test_what_cannot_be_done_is_said_in_one_line(run, words, parts):
    code, _, err = run(words)
    assert code == 1 and err.startswith("minicnn: error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err


def test_a_start_that_is_not_there_is_wrong_usage(run):
    code, _, err = run("style photo.png one.png -o out.png --start nois")
    assert code == 2 and "'nois' is none of content, noise, matched, and there is no such picture" in err


def test_picture_and_animation_are_two_files(run):
    code, _, err = run("style photo.png one.png -o out.png --animate ./out.png")
    assert code == 2 and "--output and --animate name the same file" in err and not Path("out.png").exists()


def test_the_network_that_is_looked_through_is_not_replaced_by_the_one_that_learns(run, net):
    before = Path(net).read_bytes()
    code, _, err = run(f"style-train one.png . -o {net}")
    assert code == 1 and "would be lost" in err and Path(net).read_bytes() == before


def test_styles_without_any_weight_are_refused(run):
    code, _, err = run(f"style photo.png one.png two.png --weights 0,0 -o out.png {FEW}")
    assert code == 1 and "at least one style must have a weight above 0" in err


def test_a_style_of_no_size_is_wrong_usage(run):
    code, _, err = run("style photo.png one.png -o out.png --style-scale 0")
    assert code == 2 and "not a number above 0" in err


def test_a_network_without_known_layers_says_what_to_name_and_then_works(run, capsys):
    mc.save(mc.models.build("lenet5", ["cat", "dog"], rng=0, channels=3), "lenet.safetensors")
    words = "style photo.png one.png -o out.png --first-steps 2 --smallest 48 --size 48 --model lenet.safetensors"
    assert main(shlex.split(words)) == 1
    assert "--style-layers and --content-layers" in capsys.readouterr().err
    assert main(shlex.split(f"{words} --style-layers features.0 --content-layers features.2")) == 0
    assert Path("out.png").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise on Windows")
def test_ctrl_c_keeps_the_picture_so_far_and_resume_goes_on(run, net, tmp_path):
    words = ["style", "photo.png", "one.png", "--first-steps", "200", "--smallest", "48", "--size", "48", "--animate", "a.gif"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "minicnn", *words, "--model", net, "-o"]
    assert subprocess.run([*command, "whole.png"], env=environment, capture_output=True, timeout=300).returncode == 0
    Path("a.gif").unlink()
    process = subprocess.Popen([*command, "out.png"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "steps" in process.stdout.readline()
    time.sleep(.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("this machine was done before the Ctrl-C")
    assert process.returncode == 130 and "out.png is the picture so far" in err
    assert Path("out.png").is_file() and Path("out.png.ckpt").is_file()
    with Image.open("a.gif") as animation:                        # of as much as there was
        assert animation.size == (256, 171)
    done = subprocess.run([*command, "out.png", "--resume"], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "a.gif begins with what comes after step" in done.stdout
    with Image.open("out.png") as one, Image.open("whole.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
    assert not Path("out.png.ckpt").exists()


# ---- A style that was learned --------------------------------------------------------------------------------------------

LEARN = "style-train one.png photographs --side 32 --width 4 --blocks 1 -o taught.safetensors"


@pytest.fixture
def photographs(run):
    for name in ("a", "b/c"):
        Path("photographs", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photographs", f"{name}.png").write_bytes(Path("photo.png").read_bytes())


def test_a_style_is_learned_and_used_in_one_pass(run, photographs, capsys):
    code, out, err = run(f"{LEARN} --steps 5")
    assert code == 0 and not err and "2 photographs, 5 steps of 2" in out and "wrote taught.safetensors after 5 steps" in out
    assert main(shlex.split("style two.png --model taught.safetensors --size 64 -o out.png")) == 0
    assert "wrote out.png, 64 x 27 pixels" in capsys.readouterr().out
    assert mc.images.read_settings("out.png")["command"] == "minicnn style two.png --model taught.safetensors --size 64 -o out.png"
    code, _, err = run("style photo.png -o out.png")             # the usual network knows no style
    assert code == 2 and "tiny.safetensors has learned no style: name at least one STYLE" in err


def test_options_that_one_pass_would_ignore_are_refused_by_name(run, photographs, capsys):
    assert run(f"{LEARN} --steps 1")[0] == 0
    ignored = {"--masks": "two.png", "--colours": "pca", "--animate": "a.gif", "--memory": "500", "--resume": "",
               "--weights": "2", "--steps": "9", "--preset": "gatys", "--seed": "4", "--style-scale": "2", "--lr": ".1",
               "--style-layers": "relu1_1", "--optimizer": "adam", "--start": "noise"}
    words = "style two.png --model taught.safetensors -o out.png"
    for option, value in ignored.items():
        assert main(shlex.split(f"{words} {option} {value}")) == 2
        assert f"in a single pass, where {option} would do nothing" in capsys.readouterr().err
    assert main(shlex.split(" ".join([words, *(" ".join(pair) for pair in ignored.items())]))) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert all(option in err.partition("where ")[2] for option in ignored) and not Path("out.png").exists()
    assert main(shlex.split(f"{words} --colours keep --size 64")) == 0


def test_learning_that_was_stopped_goes_on(run, photographs, monkeypatch):
    assert run(f"{LEARN} --steps 6")[0] == 0
    expected = Path("taught.safetensors").read_bytes()
    step = StylizerTraining.step

    def stopping(training):
        step(training)
        if training.step_number == 3:
            raise KeyboardInterrupt
    monkeypatch.setattr(StylizerTraining, "step", stopping)
    code, _, err = run(f"{LEARN} --steps 6")
    assert code == 130 and "--resume goes on" in err and Path("taught.safetensors.ckpt").is_file()
    monkeypatch.setattr(StylizerTraining, "step", step)
    assert run(f"{LEARN} --steps 6 --resume")[0] == 0
    assert Path("taught.safetensors").read_bytes() == expected and not Path("taught.safetensors.ckpt").exists()


def test_what_cannot_be_learned_from_is_said(run):
    Path("empty").mkdir()
    code, _, err = run("style-train one.png empty -o taught.safetensors")
    assert code == 1 and "empty holds no pictures" in err
    assert run("style-train one.png empty -o taught.bin")[0] == 1


@pytest.mark.parametrize("output", ["photo.png", "../{here}/one.png", "mask.png"])
def test_no_picture_that_is_read_is_replaced(run, output):
    Path("mask.png").write_bytes(Path("two.png").read_bytes())
    before = {path.name: path.read_bytes() for path in Path().glob("*.png")}
    code, out, err = run(f"style photo.png one.png --masks mask.png -o {output.format(here=Path.cwd().name)} {FEW}")
    assert code == 1 and not out and err.count("\n") == 1
    assert "is what the work begins with, and would be lost; choose another" in err
    assert {path.name: path.read_bytes() for path in Path().glob("*.png")} == before


@pytest.mark.parametrize("command", ["augment photo.png -o photo.png", "invert cat --start photo.png -o photo.png"])
def test_nor_by_other_commands(run, capsys, command):
    before = Path("photo.png").read_bytes()
    assert main(command.split()) == 1
    assert "would be lost" in capsys.readouterr().err and Path("photo.png").read_bytes() == before


@pytest.mark.parametrize("words", [f"style photo.png one.png -o out.png {FEW}", f"{LEARN} --steps 3"])
def test_a_run_that_was_stopped_is_not_lost_and_one_that_ended_leaves_nothing(run, photographs, words):
    checkpoint = Path(words.split("-o ")[1].split()[0] + ".ckpt")
    checkpoint.write_bytes(b"of a run that was stopped")
    code, out, err = run(words)
    assert code == 1 and not out and err.count("\n") == 1 and checkpoint.read_bytes() == b"of a run that was stopped"
    assert f"{checkpoint} holds a run already: go on with --resume, or delete it or choose another -o" in err
    checkpoint.unlink()
    for _ in range(2):
        assert run(words)[0] == 0 and not checkpoint.exists()


@pytest.mark.parametrize("words, kind", [(f"style photo.png one.png -o out.png {FEW}", "style transfer"),
                                         (f"{LEARN} --steps 3", "style training")])
def test_a_damaged_checkpoint_is_named(run, photographs, monkeypatch, words, kind):
    for owner in (Transfer, StylizerTraining):
        monkeypatch.setattr(owner, "described", lambda self: {"this": "one"})
    path = Path(words.split("-o ")[1].split()[0] + ".ckpt")
    for settings, place in (("{", "{}"), ("[]", "{}"), ('{"this": "one"}', "{"), ('{"this": "one"}', "[]"),
                            ('{"this": "one"}', "{}")):
        weights.save({"x": np.zeros(3, np.float32)}, path, {"checkpoint": kind, "settings": settings, "place": place})
        code, _, err = run(f"{words} --resume")
        assert code == 1 and err.startswith(f"minicnn: error: {path} is damaged: delete it, and begin anew without --resume (")
        assert err.count("\n") == 1
    path.write_bytes(path.read_bytes()[:-5])
    assert f"{path} cannot be read" in run(f"{words} --resume")[2]


def test_the_checkpoint_of_another_command_is_told_by_what_it_is(run, photographs):
    weights.save({"x": np.zeros(3, np.float32)}, "out.png.ckpt", {"checkpoint": "style training", "settings": "{}", "place": "{}"})
    code, _, err = run(f"style photo.png one.png -o out.png --resume {FEW}")
    assert code == 1 and err == ("minicnn: error: out.png.ckpt is the checkpoint of a style training run, not of a style transfer "
                                 "run: the command that wrote it goes on from there with --resume\n")


def test_a_better_network_is_downloaded_only_once(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "home"))
    words = shlex.split(f"style photo.png one.png -o out.png {FEW}")
    assert main(words) == 0 and "`minicnn weights download vgg19`, then --model vgg19" in capsys.readouterr().out
    mc.models.cached("vgg19").parent.mkdir(parents=True)
    mc.models.cached("vgg19").write_bytes(b"weights")
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "draws finer: --model vgg19" in told and "download" not in told


def test_resuming_what_was_never_begun(run):
    code, out, err = run(f"style photo.png one.png -o new.png --resume {FEW}")
    assert code == 1 and not out and err == ("minicnn: error: there is no checkpoint new.png.ckpt to resume: check -o, or start "
                                             "without --resume\n")
