"""Other people's weights: what is read, and what is refused in one line, without a trace of what it wanted to do."""
import io
import json
import os
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import data_folder
from torchfiles import (called, dictionary, legacy, many, name, save_legacy, save_zip, storage, tensor, text, whole, wholes,
                        zipped)

from minicnn.files import foreign
from minicnn.files.foreign import UnreadableWeights, archive, contents, pickled

ONES = np.ones(4, np.float32)
GLOBAL_SYSTEM = name("os", "system")


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {"features.0.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
            "features.0.bias": rng.standard_normal(4).astype(np.float64), "half": rng.standard_normal(5).astype(np.float16),
            "count": np.array(7), "flags": np.array([True, False]), "empty": np.zeros((0, 3), np.float32),
            "small": np.arange(-3, 3, dtype=np.int8)}


def assert_read(path, arrays, metadata=None):
    state, found = foreign.read(path)
    assert list(state) == list(arrays) and found == (metadata or {})
    for key, array in arrays.items():
        expected = array.astype(np.float32) if array.dtype.kind == "f" else array
        assert state[key].dtype == expected.dtype and state[key].flags.writeable
        np.testing.assert_array_equal(state[key], expected, strict=True)


# ---- what is read --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_both_forms_of_pytorch(save, arrays, tmp_path):
    assert_read(save(tmp_path / "net.pth", arrays), arrays)


def test_npz_compressed_and_not_in_any_order(arrays, tmp_path):
    arrays = {**arrays, "columns/w": np.asfortranarray(np.arange(6.).reshape(2, 3)), "swapped": np.arange(3, dtype=">i4")}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "net.npz", **arrays)
        assert_read(tmp_path / "net.npz", {**arrays, "swapped": arrays["swapped"].astype("<i4")})


def safetensors_file(arrays, metadata=None, numbers=b""):
    """A file by hand, of {name: (code, shape, bytes)}."""
    header, start = {"__metadata__": metadata} if metadata else {}, 0
    for key, (code, shape, data) in arrays.items():
        header[key] = {"dtype": code, "shape": shape, "data_offsets": [start, start + len(data)]}
        start, numbers = start + len(data), numbers + data
    return raw_safetensors(json.dumps(header).encode(), numbers)


def raw_safetensors(header, numbers=b"", length=None):
    return struct.pack("<Q", len(header) if length is None else length) + header + numbers


def test_safetensors_with_every_kind_of_number(tmp_path):
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
             "U64": "<u8", "U32": "<u4", "U16": "<u2"}
    arrays = {code: np.arange(6).reshape(2, 3).astype(dtype) for code, dtype in kinds.items()}
    stored = {code: (code, [2, 3], array.tobytes()) for code, array in arrays.items()}
    stored["BF16"] = ("BF16", [3], np.array([1, -2.5, 2 ** 100], np.float32).view(np.uint16)[1::2].tobytes())
    stored["BOOL"] = ("BOOL", [], b"\1")
    (tmp_path / "net.safetensors").write_bytes(safetensors_file(stored, {"by": "hand"}))
    expected = {**arrays, "BF16": np.array([1, -2.5, 2 ** 100], np.float32), "BOOL": np.array(True)}
    assert_read(tmp_path / "net.safetensors", expected, {"by": "hand"})


@pytest.mark.parametrize("file", ["squeezenet1_1_torchvision.npz", "vgg16_features_lpips_fp16.npz"])
def test_npz_files_of_real_networks(file):
    path = data_folder("weights") / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    state, _ = foreign.read(path)
    with np.load(path) as arrays:
        assert sorted(state) == sorted(arrays)
        for key in state:
            np.testing.assert_array_equal(state[key], arrays[key].astype(np.float32), strict=True)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_views_of_storages(form, tmp_path):
    """A transposed matrix, a part of a storage, tied weights, a single number, nothing at all."""
    numbers, stored = np.arange(12, dtype=np.float32), storage("0", 12)
    body = dictionary({"transposed": tensor(stored, (4, 3), (1, 4)), "part": tensor(stored, (2, 2), (6, 2), offset=1),
                       "tied": tensor(stored, (12,), (1,)), "one": tensor(stored, (), (), offset=11),
                       "nothing": tensor(stored, (0, 5), (5, 1), offset=12)})
    path = tmp_path / "net.pth"
    zipped(path, body, {"0": numbers.tobytes()}) if form == "zip" else legacy(path, body, {"0": numbers})
    assert_read(path, {"transposed": numbers.reshape(3, 4).T, "part": np.array([[1, 3], [7, 9]], np.float32),
                       "tied": numbers, "one": np.array(11, np.float32), "nothing": np.zeros((0, 5), np.float32)})


def test_names_of_all_ages(tmp_path):
    """Tensors of PyTorch 0.1, parameters, attributes of an OrderedDict, a torch.Size, strings of Python 2."""
    old = called(name("torch._utils", "_rebuild_tensor"), storage("0", 4, module="torch.cuda"), whole(0), wholes((4,)),
                 wholes((1,)))
    parameter = called(name("torch._utils", "_rebuild_parameter"), tensor(storage("0", 4), (4,), (1,)), b"\x88", b"}")
    sized = called(name("torch._utils", "_rebuild_tensor_v2"), storage("0", 4), whole(0),
                   called(name("torch", "Size"), wholes((2, 2))), wholes((2, 1)), b"\x89", b"}")
    pairs = b"](" + b"](U\x03old" + old + b"e" + b"](T\x09\0\0\0parameter" + parameter + b"e" + b"e"
    body = called(name("collections", "OrderedDict"), pairs) + b"(" + text("sized") + sized + b"u"
    body += dictionary({"_metadata": dictionary({"": dictionary({"version": whole(1)})})}) + b"b"
    zipped(tmp_path / "net.pth", body, {"0": ONES.tobytes()})
    assert_read(tmp_path / "net.pth", {"old": ONES, "parameter": ONES, "sized": ONES.reshape(2, 2)})


def test_the_weights_in_a_checkpoint(tmp_path):
    state = dictionary({"w": tensor(storage("0", 4), (4,), (1,))})
    momentum = dictionary({"state": b"}" + whole(0) + dictionary({"m": tensor(storage("1", 4), (4,), (1,))}) + b"s"})
    for checkpoint in ({"state_dict": state, "optimizer": momentum}, {"model": dictionary({"state_dict": state})},
                       {"anything": state, "optimizer": momentum}, {"model_state_dict": state, "ema": state}):
        body = dictionary({"epoch": whole(90), "arch": text("net"), "best": b"G" + struct.pack(">d", .5), **checkpoint})
        zipped(tmp_path / "net.pth", body, {"0": ONES.tobytes(), "1": ONES.tobytes()})
        assert_read(tmp_path / "net.pth", {"w": ONES}, {"epoch": "90", "arch": "net", "best": "0.5"})


def test_contents_say_what_there_is_and_read_none_of_it(arrays, tmp_path, monkeypatch):
    save_zip(tmp_path / "net.pth", arrays)
    monkeypatch.setattr(contents, "_numbers", lambda *_: pytest.fail("it was read"))
    found = foreign.opened(tmp_path / "net.pth")
    assert found.form == "PyTorch" and list(found.arrays) == list(arrays)
    assert {key: (one.shape, one.kind, one.nbytes) for key, one in found.arrays.items()} == {
        key: (array.shape, array.dtype.name, array.nbytes) for key, array in arrays.items()}


def test_a_storage_is_read_when_it_is_asked_for_and_one_that_is_shared_only_once(tmp_path, monkeypatch):
    body = dictionary({"a": tensor(storage("0", 4), (4,), (1,)), "b": tensor(storage("1", 4), (4,), (1,)),
                       "c": tensor(storage("1", 4), (2, 2), (1, 2))})
    found = foreign.opened(zipped(tmp_path / "net.pth", body, {"0": ONES.tobytes(), "1": ONES.tobytes()}))
    read, asked = archive.Member.read, []
    monkeypatch.setattr(archive.Member, "read", lambda member: asked.append(member.name) or read(member))
    for key in "bcb":
        assert np.asarray(found.arrays[key]).sum() == 4
    assert asked == ["net/data/1"]


def test_the_name_of_a_file_does_not_matter(arrays, tmp_path):
    for save in (save_zip, save_legacy):
        assert_read(save(tmp_path / "weights.txt", arrays), arrays)


# ---- what is refused: pickles --------------------------------------------------------------------------------------

SYSTEM = many(text("touch marker"))
PROGRAMS = {
    "GLOBAL and REDUCE": (GLOBAL_SYSTEM + SYSTEM + b"R", "asks for 'os.system', which weights do not need"),
    "STACK_GLOBAL": (text("os") + text("system") + b"\x93" + SYSTEM + b"R", "asks for 'os.system'"),
    "INST": (b"(" + text("touch marker") + b"ios\nsystem\n", "opcode INST"),
    "OBJ": (b"(" + GLOBAL_SYSTEM + text("touch marker") + b"o", "asks for 'os.system'"),
    "OBJ of what is known": (b"(" + name("torch", "Size") + text("touch marker") + b"o", "opcode OBJ"),
    "NEWOBJ": (name("collections", "OrderedDict") + b")\x81", "opcode NEWOBJ"),
    "NEWOBJ_EX": (name("collections", "OrderedDict") + b")}\x92", "opcode NEWOBJ_EX"),
    "BUILD with __setstate__": (called(name("torch.nn", "Module")) + SYSTEM + b"b", "asks for 'torch.nn.Module'"),
    "BUILD of a list": (b"]" + dictionary({"__setstate__": text("x")}) + b"b", "fills a list as if it were a dict"),
    "BUILD with no attributes": (b"}" + text("x") + b"b", "a state that is no dictionary"),
    "EXT1": (b"\x82\x01", "opcode EXT1"), "PERSID": (b"Pstorage\n", "opcode PERSID"),
    "eval": (called(name("builtins", "eval"), text("1")), "asks for 'builtins.eval'"),
    "eval of Python 2": (called(name("__builtin__", "eval"), text("1")), "asks for '__builtin__.eval'"),
    "getattr": (called(name("builtins", "getattr"), text("a"), text("b")), "asks for 'builtins.getattr'"),
    "torch.load": (called(name("torch", "load"), text("x")), "asks for 'torch.load'"),
    "a way through an attribute": (name("collections", "OrderedDict.fromkeys"),
                                   "asks for 'collections.OrderedDict.fromkeys'"),
    "a way through a module": (name("torch._utils", "sys.modules"), "asks for 'torch._utils.sys.modules'"),
    "a network": (called(name("torchvision.models.vgg", "VGG")), "load it with PyTorch and save its state_dict"),
    "a name with an end of its own": (name("os\x1b[2J", "system"), r"asks for 'os\\x1b\[2J.system'"),
    "a number is called": (whole(1) + b")R", "calls a int"),
    "a kind is called": (name("torch", "FloatStorage") + b")R", "calls a Kind"),
    "arguments that are none": (name("collections", "OrderedDict") + b"]R", "calls a Maker"),
    "wrong arguments": (called(name("collections", "OrderedDict"), b"N", b"N"), "TypeError"),
    "no OrderedDict": (called(name("collections", "OrderedDict"), text("ab")), "not made of pairs"),
    "no opcode": (b"\xff", "which does not exist"), "protocol 0": (b"\x80\x00", "has the protocol 0"),
    # ---- damaged
    "it takes too much": (b"\x85", "takes more from its stack"), "it takes beyond a mark": (whole(1) + b"(s", "takes more"),
    "no mark": (b"t", "a mark that it did not set"), "nothing remembered": (b"h\x07", "recalls what it did not remember"),
    "odd items": (b"}(" + text("a") + b"u", "ValueError"), "no text": (b"X\x02\0\0\0\xff\xff", "UnicodeDecodeError"),
    "cut short": (b"X\xff\xff\xff\xff", "cut short"), "no end of a line": (b"cos", "cut short"),
    # ---- made to exhaust
    "a number of a gigabyte": (b"\x8b" + struct.pack("<i", 1 << 30), "opcode LONG4"),
    "bytes of an exabyte": (b"\x8e" + struct.pack("<Q", 1 << 60), "opcode BINBYTES8"),
    "a place in the memo beyond everything": (b"}r\xff\xff\xff\xff", "no dictionary that is made of tensors alone"),
    "a tuple as a key, of itself twice, 60 times": (
        b"})" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60)) + b"Ns", "a tuple as a key"),
    "keys that collide": (b"}" + whole((1 << 61) - 1) + b"Ns", "a int as a key"),
    "a key twice": (b"}(" + text("a") + b"N" + text("a") + b"Nu", "holds 'a' twice"),
    "too many steps": (b"K\x01" * pickled.MOST_STEPS, "takes more than 200,000 steps"),
    "copies of a long list": (
        b"](" + b"K\x01" * 50_000 + b"e" + b"q\x01" + called(name("collections", "OrderedDict"), b"h\x01") * 9,
        "not made of pairs"),
    "copies of long pairs": (b"](" + b"".join(b"](" + whole(i) + b"Ne" for i in range(20_000)) + b"eq\x01" + name(
        "collections", "OrderedDict") + b"q\x02" + b"h\x02(h\x01tR" * 5000, "takes more than 200,000 steps"),
    "dictionaries of one dictionary": (
        b"}q\0" + b"".join(b"}(" + b"".join(text(str(k)) + b"h" + bytes([i]) for k in range(2000)) + b"uq" + bytes([i + 1])
                           for i in range(9)), "no dictionary that is made of tensors alone"),
    # ---- no weights
    "a number": (whole(3), "it holds a int, not a dictionary of tensors"), "a list": (b"]", "it holds a list"),
    "no tensors": (dictionary({"a": whole(1)}), "no dictionary that is made of tensors alone"),
    "too deep": (dictionary({"model": dictionary({"model": dictionary({"model": dictionary({"model": b"}"})})})}),
                 "too deep"),
}


def refused(path, message):
    """The error, which must be one short line that names the file."""
    with pytest.raises(UnreadableWeights, match=message) as caught:
        foreign.read(path)
    assert str(caught.value).startswith(f"{path} cannot be read: ") and str(caught.value).isprintable()
    assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("form", [zipped, legacy])
def test_a_pickle_is_not_obeyed(form, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body, message = PROGRAMS[program]
    refused(form(tmp_path / "net.pth", body), message)
    assert not (tmp_path / "marker").exists()


def test_what_a_program_would_do_is_done_by_pickle_itself(tmp_path, monkeypatch):
    """So that the test above tests something."""
    import pickle
    monkeypatch.chdir(tmp_path)
    pickle.loads(b"\x80\x02" + PROGRAMS["GLOBAL and REDUCE"][0] + b".")
    assert (tmp_path / "marker").exists()


# ---- what is refused: tensors --------------------------------------------------------------------------------------

STORED = storage("0", 4)
REBUILD = name("torch._utils", "_rebuild_tensor_v2")
TENSORS = {
    "beyond the end": (tensor(STORED, (5,), (1,)), "reaches beyond its storage of 4"),
    "an offset beyond the end": (tensor(STORED, (2,), (1,), offset=3), "reaches beyond"),
    "a huge offset": (tensor(STORED, (1,), (1,), offset=1 << 61), "reaches beyond"),
    "an offset beyond all whole numbers": (tensor(STORED, (1,), (1,), offset=1 << 70), "without a storage or a place"),
    "a negative offset": (tensor(STORED, (1,), (1,), offset=-1), "without a storage or a place"),
    "huge strides": (tensor(STORED, (2,), (1 << 61,)), "reaches beyond"),
    "negative strides": (tensor(STORED, (2,), (-1,), offset=3), "no whole numbers from 0 on"),
    "strides of 0": (tensor(STORED, (1 << 40,), (0,)), "repeats the 4 numbers"),
    "overlapping rows": (tensor(STORED, (3, 2), (1, 1)), "repeats the 4 numbers"),
    "a huge shape": (tensor(STORED, (1 << 61, 1 << 61), (0, 0)), "repeats the 4 numbers"),
    "a negative shape": (tensor(STORED, (-1,), (1,)), "no whole numbers from 0 on"),
    "two negative shapes": (tensor(STORED, (-2, -2), (1, 1)), "no whole numbers from 0 on"),
    "fewer strides": (tensor(STORED, (2, 2), (1,)), "reaches beyond"),
    "too many axes": (tensor(STORED, (1,) * 40, (1,) * 40), "no whole numbers from 0 on"),
    "a shape of truth": (tensor(STORED, (True,), (1,)), "no whole numbers from 0 on"),
    "a shape of text": (called(REBUILD, STORED, whole(0), text("4"), wholes((1,)), b"\x89", b"}"), "no whole numbers from"),
    "no storage": (called(REBUILD, text("0"), whole(0), wholes((4,)), wholes((1,)), b"\x89", b"}"), "without a storage"),
    "no arguments": (called(REBUILD), "TypeError"),
    "a parameter of text": (called(name("torch._utils", "_rebuild_parameter"), text("a")), "a parameter that is no tensor"),
    "a size of text": (called(name("torch", "Size"), text("ab")), "no tuple"),
    "a storage with a wrong count": (tensor(storage("0", 3), (3,), (1,)), "should (be|have)"),
    "a storage with a huge count": (tensor(storage("0", 1 << 40), (1,), (1,)), "should"),
    "a storage with a negative count": (tensor(storage("0", -4), (1,), (1,)), "no storage of numbers"),
    "a storage of another kind": (tensor(storage("0", 4, "Double"), (4,), (1,)), "should"),
    "a storage of no kind": (
        tensor(many(text("storage"), text("Float"), text("0"), text("cpu"), whole(4)) + b"Q", (4,), (1,)),
        "no storage of numbers"),
    "a storage that is a module": (tensor(storage("0", 4, what="module"), (4,), (1,)), "no storage of numbers"),
    "a storage under a number": (tensor(text("0") + b"Q", (4,), (1,)), "no storage of numbers"),
    "a storage in a storage": (
        tensor(many(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), whole(4),
                    many(text("1"), whole(0), whole(2))) + b"Q", (4,), (1,)), "storages within storages"),
    "a storage that is not there": (tensor(storage("1", 4), (4,), (1,)), "is missing in it|list of storages"),
    "a storage elsewhere": (tensor(storage("../../../etc/passwd", 4), (4,), (1,)), "is missing in it|list of storages"),
    "quantised numbers": (tensor(storage("0", 4, "QInt8"), (4,), (1,)), "asks for 'torch.QInt8Storage'"),
}


@pytest.mark.parametrize("case", TENSORS)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_tensor_that_cannot_be(form, case, tmp_path):
    body, message = TENSORS[case]
    body = dictionary({"a": body})
    path = tmp_path / "net.pth"
    refused(zipped(path, body, {"0": ONES.tobytes()}) if form == "zip" else legacy(path, body, {"0": ONES}), message)


STATES = {
    "a storage in two ways": (
        {"a": tensor(STORED, (4,), (1,)), "b": tensor(storage("0", 8, "Half"), (8,), (1,))}, "in two ways"),
    "two networks": (
        {"one": dictionary({"a": tensor(STORED, (4,), (1,))}), "two": dictionary({"a": tensor(STORED, (4,), (1,))})},
        "several dictionaries of tensors .'one', 'two'."),
    "a name of an escape": ({"\x1b[2J": tensor(STORED, (4,), (1,))}, "a name that is no name"),
    "an endless name": ({"a" * 1000: tensor(STORED, (4,), (1,))}, "a name that is no name"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_that_cannot_be(case, tmp_path):
    items, message = STATES[case]
    refused(zipped(tmp_path / "net.pth", dictionary(items), {"0": ONES.tobytes()}), message)


def test_a_number_as_a_name(tmp_path):
    body = b"}" + whole(7) + tensor(STORED, (4,), (1,)) + b"s"
    refused(zipped(tmp_path / "net.pth", body, {"0": ONES.tobytes()}), "a name that is no name")


def many_views(path, count=300):
    """A storage of a megabyte that so many tensors each see all of."""
    stored = storage("0", 1 << 18) + b"q\x01"
    first = tensor(stored, (1 << 18,), (1,))
    items = {"first": first, **{str(k): tensor(b"h\x01", (1 << 18,), (1,)) for k in range(count)}}
    return zipped(path, dictionary(items), {"0": bytes(1 << 20)})


def test_tensors_that_together_exhaust_the_memory(tmp_path):
    refused(many_views(tmp_path / "net.pth"), "that unfolds to 315,621,376 is made to exhaust the memory")


# ---- what is refused: archives -------------------------------------------------------------------------------------

@pytest.mark.parametrize("cut", [4, 30, 100, 300, -1, -22, -60])
@pytest.mark.parametrize("save", [save_zip, save_legacy, "npz"])
def test_what_is_cut_short(save, cut, arrays, tmp_path):
    path = tmp_path / "net.pth"
    if save == "npz":
        with open(path, "wb") as file:
            np.savez(file, **arrays)
    else:
        save(path, arrays)
    path.write_bytes(path.read_bytes()[:cut])
    refused(path, "cut short|damaged|pickle|neither")


@pytest.mark.parametrize("member", ["/etc/passwd", "../outside", "net/../../outside", "C:\\outside", "c:/outside",
                                    "net\\data\\9"])
def test_members_that_lead_out_of_the_archive(member, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zipfile.os, "sep", "/")
    refused(zipped(tmp_path / "net.pth", b"}", extra={member: b"x"}), "leads out of the archive")
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_members_of_one_name(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(tmp_path / "net.pth", b"}", extra={"net/byteorder": b"x"})
    refused(tmp_path / "net.pth", "two members of one name")


def patched(path, patch, signature=b"PK\x01\x02", which=0):
    """Change the central header, or a local one, of a member of the archive: {offset: bytes}."""
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(which + 1):
        place = data.index(signature, place + 1)
    for offset, value in patch.items():
        data[place + offset:place + offset + len(value)] = value
    path.write_bytes(data)
    return path


FOUR, GIGABYTES = (4).to_bytes(4, "little"), (3 << 30).to_bytes(4, "little")
HEADERS = {                                      # of the central header of the member that holds four numbers
    "encrypted": ({8: b"\1\0"}, "is encrypted"),
    "another compression": ({10: b"\x0c\0"}, "encrypted, or compressed in a way"),
    "a wrong checksum": ({16: b"abcd"}, "its checksum is wrong"), "two sizes": ({24: FOUR}, "has two sizes"),
    "gigabytes": ({20: GIGABYTES, 24: GIGABYTES}, "is made to exhaust the memory"),
    "somewhat more": ({20: b"\0\0\1\0", 24: b"\0\0\1\0"}, "larger than the whole file"),
    "another place": ({42: b"\7\0\0\0"}, "not where it should be"),
    "a place beyond": ({42: b"\0\0\1\0"}, "damaged|not where"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_archive_that_lies(case, tmp_path):
    path = zipped(tmp_path / "net.pth", dictionary({"a": tensor(STORED, (4,), (1,))}), {"0": ONES.tobytes()})
    patch, message = HEADERS[case]
    refused(patched(path, patch, which=2), message)


def test_bombs(tmp_path, monkeypatch):
    """Members that unfold to a thousand times their size: said or not, in either kind of archive."""
    monkeypatch.setattr(contents, "SPARE", 1 << 16)
    path, zeros = tmp_path / "net.pth", bytes(1 << 20)
    body = dictionary({"a": tensor(storage("0", 1 << 18), (1 << 18,), (1,))})
    refused(zipped(path, body, {"0": zeros}, compression=zipfile.ZIP_DEFLATED), "is made to exhaust the memory")
    np.savez_compressed(tmp_path / "net.npz", a=np.zeros(1 << 18, np.float32))
    refused(tmp_path / "net.npz", "is made to exhaust the memory")
    small = len(npy(np.zeros(4, np.float32)))
    refused(patched(tmp_path / "net.npz", {24: small.to_bytes(4, "little")}), "bytes of numbers|checksum|damaged")


def test_what_pytorch_does_not_compress_is_not_read_compressed(tmp_path):
    body = dictionary({"a": tensor(storage("0", 1000), (1000,), (1,))})
    refused(zipped(tmp_path / "net.pth", body, {"0": bytes(4000)}, compression=zipfile.ZIP_DEFLATED), "is compressed")


def test_an_archive_with_an_endless_list_of_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_LISTED", 20_000)
    path = zipped(tmp_path / "net.pth", b"}", extra={f"net/{k}": b"" for k in range(1000)})
    refused(path, "lists its members on more than 20,000 bytes")


@pytest.mark.parametrize("extra, order, message", [
    ({"net/constants.pkl": b""}, "little", "TorchScript archive"), ({}, "big", "big-endian"),
    ({"other/data.pkl": b""}, "little", "not one of PyTorch or NumPy")])
def test_other_archives(extra, order, message, tmp_path):
    refused(zipped(tmp_path / "net.pth", b"}", extra=extra, order=order), message)


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as file:
        file.writestr("readme.txt", "hello")
    refused(tmp_path / "net.pth", "not one of PyTorch or NumPy")


# ---- what is refused: the older form -------------------------------------------------------------------------------

LEGACY = {
    "another count": (dict(counts={"0": 3}), "should have 4 numbers, not 3"),
    "a negative count": (dict(counts={"0": -4}), "should have 4 numbers, not -4"),
    "a huge count": (dict(counts={"0": 1 << 60}), "should have 4 numbers"),
    "a key twice": (dict(keys=["0", "0"]), "list of storages"), "no keys": (dict(keys=[]), "list of storages"),
    "a key too many": (dict(keys=["0", "1"]), "list of storages"), "big-endian": (dict(little=False), "big-endian"),
}


@pytest.mark.parametrize("case", LEGACY)
def test_an_older_file_that_lies(case, tmp_path):
    options, message = LEGACY[case]
    body = dictionary({"a": tensor(STORED, (4,), (1,))})
    refused(legacy(tmp_path / "net.pth", body, {"0": ONES}, **options), message)


def test_an_older_file_of_another_version(tmp_path):
    path = save_legacy(tmp_path / "net.pth", {"a": ONES})
    path.write_bytes(path.read_bytes().replace(whole(1001), whole(1002), 1))
    refused(path, "begins like a file of PyTorch, but is none")


# ---- what is refused: safetensors and npz --------------------------------------------------------------------------

FOUR_BYTES = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
SAFETENSORS = {
    "a header of 10 GB": (raw_safetensors(b"{}", length=10 ** 10), "header should have 10,000,000,000 bytes"),
    "a header beyond the file": (raw_safetensors(b"{}", length=1000), "header should have 1,000 bytes"),
    "a header in the clouds": (raw_safetensors(b"{" + b"[" * 100_000), "RecursionError|damaged"),
    "overlapping arrays": (raw_safetensors(json.dumps({"a": FOUR_BYTES, "b": FOUR_BYTES}).encode(), bytes(4)), "damaged"),
    "a hole": (raw_safetensors(json.dumps({"a": {**FOUR_BYTES, "data_offsets": [4, 8]}}).encode(), bytes(8)), "damaged"),
    "an array twice": (raw_safetensors(b'{"a": %b, "a": %b}' % ((json.dumps(FOUR_BYTES).encode(),) * 2), bytes(4)),
                       "something twice"),
    "numbers beyond the file": (safetensors_file({"a": ("F32", [9], bytes(4))}), "damaged"),
    "an enormous shape": (safetensors_file({"a": ("F32", [1 << 62, 1 << 62], bytes(4))}), "damaged"),
    "a negative shape": (safetensors_file({"a": ("F32", [-1], bytes(4))}), "damaged"),
    "eight bits that float": (safetensors_file({"a": ("F8_E4M3", [4], bytes(4))}), "'a' in it holds F8_E4M3 numbers"),
    "an unknown kind": (safetensors_file({"a": ("PYTHON", [1], bytes(4))}), "damaged"),
    "no arrays": (safetensors_file({}), "it holds no arrays"), "a list": (raw_safetensors(b"[]      "), "neither"),
    "a name of an escape": (safetensors_file({"\x1b[2J": ("F32", [1], bytes(4))}), "a name that is no name"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_safetensors_that_lie(case, tmp_path):
    data, message = SAFETENSORS[case]
    (tmp_path / "net.safetensors").write_bytes(data)
    refused(tmp_path / "net.safetensors", message)


def npy(array, **changed):
    """An .npy file, with a part of its header changed."""
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape, **changed}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + (b"" if array.dtype.hasobject else array.tobytes())


NPZ = {
    "objects": (npy(np.array([print], object)), "'a.npy' in it holds object: only numbers are read"),
    "records": (npy(np.zeros(1, [("x", "f4")])), "only numbers are read"),
    "text": (npy(np.array(["a"])), "only numbers are read"),
    "dates": (npy(np.zeros(1, "M8[s]")), "only numbers are read"),
    "complex numbers": (npy(np.zeros(1, "c8")), "only numbers"),
    "more than is there": (npy(ONES, shape=(5,)), r"has 16 bytes of numbers, but its shape \(5,\) needs 20"),
    "less than is there": (npy(ONES, shape=(3,)), "needs 12"),
    "terabytes": (npy(ONES, shape=(1 << 40,)), "needs 4,398,046,511,104"),
    "a negative shape": (npy(ONES, shape=(-2, -2)), r"a has the shape \(-2, -2\)"),
    "a program": (npy(ONES, shape="__import__('os').system('touch marker')"), "damaged"),
    "no array": (b"hello, this is no array", "damaged"),
    "another version": (b"\x93NUMPY\3\0" + npy(ONES)[8:], r"version \(3, 0\)"),
    "a header of a gigabyte": (b"\x93NUMPY\2\0" + (1 << 30).to_bytes(4, "little") + b"{", "damaged"),
    "nothing": (b"", "damaged"),
}


@pytest.mark.parametrize("case", NPZ)
def test_npz_that_lie(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, message = NPZ[case]
    with zipfile.ZipFile("net.npz", "w") as file:
        file.writestr("a.npy", data)
    refused(Path("net.npz"), message)
    assert not Path("marker").exists()


# ---- what is refused: everything else ------------------------------------------------------------------------------

OTHERS = {
    "empty": (b"", "it is empty; download it again"), "blank": (b"\n\n\n", "it is blank"),
    "text": (b"these are no weights\n" * 99, "it is a text that begins with 'these are no weights'"),
    "an answer": (b"Entry not found", "it is a text that begins with 'Entry not found'"),
    "a web page": (b"<!DOCTYPE html><html><body>404</body></html>", "it is a web page"),
    "another web page": (b"\xef\xbb\xbf\n <html lang=en>" + b"\xff" * 999, "it is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "git lfs pull"),
    "gzip": (b"\x1f\x8b\x08" + bytes(99), "compressed with gzip"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "a pickle": (b"\x80\x04}\x94.", "a pickle, but not one of torch.save"), "noise": (bytes(range(256)) * 9, "neither"),
    "zeros": (bytes(999), "neither"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_files_that_are_no_weights_are_called_what_they_are(case, tmp_path):
    data, message = OTHERS[case]
    (tmp_path / "net.pth").write_bytes(data)
    refused(tmp_path / "net.pth", message)


def test_an_absent_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no weights file .*net.pth"):
        foreign.read(tmp_path / "net.pth")
    with pytest.raises(ValueError, match="is a folder"):
        foreign.read(tmp_path)


def test_damage_that_shows_only_when_an_array_is_read_is_told_the_same_way(tmp_path):
    path = save_zip(tmp_path / "net.pth", {"a": ONES, "b": ONES})
    found = foreign.opened(path)
    path.write_bytes(path.read_bytes().replace(ONES.tobytes(), bytes(16)))
    with pytest.raises(UnreadableWeights, match="net.pth cannot be read: 'net/data/1' in it is damaged: its checksum is"):
        np.asarray(found.arrays["b"])


# ---- what it costs -------------------------------------------------------------------------------------------------

# A description of a network costs nothing to write: the network that it speaks of must not be built.
STYLIZERS = ['{"width":256,"blocks":64}', '{"width":128,"blocks":32}', '{"width":128,"blocks":1e999}', '{"width":1e9}',
             "[" * 100_000]
NETWORKS = [("vgg19", {}), ("vgg16", {"width": 1 << 40}), ("alexnet-2012", {"width": 6 << 30}), ("lenet5", {"size": 1 << 40}),
            ("small", {"widths": [[1 << 40]]}), ("small", {"widths": [[10 ** 400]]}), ("small", {"widths": [[1] * 100_000]}),
            ("small", {"widths": [[0]]}), ("resnet20", {"channels": 1 << 60})]

READ_ALL = textwrap.dedent("""
    import resource, sys, time
    from pathlib import Path
    from minicnn import models
    from minicnn.files import foreign
    from minicnn.models.stylizer import load_stylizer
    seconds, megabytes = float(sys.argv[2]), int(sys.argv[3])
    readers = {".network": models.load, ".stylizer": load_stylizer}
    done = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "pickle.find_class"}
    sys.addaudithook(lambda event, arguments: event in done and print("a file did", event, arguments))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    for path in sorted(Path(sys.argv[1]).iterdir()):
        begun = time.process_time()
        try:
            readers.get(path.suffix, foreign.read)(path)
            print(path.name, "was read")
        except ValueError as error:
            if str(path) not in str(error):
                print(path.name, "is not named:", error)
        if time.process_time() - begun > seconds:
            print(path.name, "took", time.process_time() - begun, "seconds")
""")
MOST_SECONDS, MOST_MEGABYTES = 1, 64             # processor time of each file; memory beyond that of the bare program


def write_pickles(folder):
    for k, (body, _) in enumerate(PROGRAMS.values()):
        zipped(folder / f"program-{k}.zip", body)
        legacy(folder / f"program-{k}.old", body)
    for k, (body, _) in enumerate(TENSORS.values()):
        zipped(folder / f"tensor-{k}.zip", dictionary({"a": body}), {"0": ONES.tobytes()})
        legacy(folder / f"tensor-{k}.old", dictionary({"a": body}), {"0": ONES})
    for k, (items, _) in enumerate(STATES.values()):
        zipped(folder / f"state-{k}.zip", dictionary(items), {"0": ONES.tobytes()})
    for k, (options, _) in enumerate(LEGACY.values()):
        legacy(folder / f"legacy-{k}.old", dictionary({"a": tensor(STORED, (4,), (1,))}), {"0": ONES}, **options)
    many_views(folder / "views")


def write_archives(folder):
    for k, (patch, _) in enumerate(HEADERS.values()):
        path = zipped(folder / f"archive-{k}.zip", dictionary({"a": tensor(STORED, (4,), (1,))}), {"0": ONES.tobytes()})
        patched(path, patch, which=2)
    for k, (data, _) in enumerate(NPZ.values()):
        with zipfile.ZipFile(folder / f"array-{k}.npz", "w") as file:
            file.writestr("a.npy", data)
    for cut in (4, 100, 300, -1, -22, -60):
        path = save_zip(folder / f"cut{cut}.zip", {"a": ONES, "b": np.zeros(1000, np.float32)})
        path.write_bytes(path.read_bytes()[:cut])
    np.savez_compressed(folder / "bomb.npz", a=np.zeros(3 << 25, np.uint8))
    body = dictionary({"a": tensor(storage("0", 3 << 23), (3 << 23,), (1,))})
    zipped(folder / "bomb.zip", body, {"0": bytes(3 << 25)}, compression=zipfile.ZIP_DEFLATED)


def write_headers(folder):
    for k, (data, _) in enumerate([*SAFETENSORS.values(), *OTHERS.values()]):
        for path in (f"file-{k}", f"file-{k}.network", f"file-{k}.stylizer"):
            (folder / path).write_bytes(data)
    for k, options in enumerate(STYLIZERS):
        (folder / f"{k}.stylizer").write_bytes(safetensors_file({}, {"stylizer": options}))
    for k, (network, options) in enumerate(NETWORKS):
        about = {"network": network, "class_names": ["a", "b"], "options": options, "start": True}
        numbers = {"a": ("F32", [9], bytes(36))}
        (folder / f"{k}.network").write_bytes(safetensors_file(numbers, {"architecture": json.dumps(about)}))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux tells how much memory a process has")
@pytest.mark.parametrize("write", [write_pickles, write_archives, write_headers])
def test_hostile_files_cost_neither_memory_nor_time_and_nothing_in_them_is_done(write, tmp_path):
    """Each is refused by its name, within a second of processor time and some memory; all in one process."""
    (tmp_path / "files").mkdir()
    write(tmp_path / "files")
    words = [sys.executable, "-c", READ_ALL, str(tmp_path / "files"), str(MOST_SECONDS), str(MOST_MEGABYTES)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(foreign.__file__).parents[3])})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "marker").exists()
