"""Files as torch.save writes them, opcode by opcode, without PyTorch: sound ones, and such as it would never write."""
import math
import struct
import zipfile

import numpy as np

NAMES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char", "u1": "Byte",
         "b1": "Bool"}


# ---- opcodes -------------------------------------------------------------------------------------------------------

def text(value):
    """BINUNICODE"""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value):
    """LONG1, or NEWTRUE and NEWFALSE"""
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def many(*parts):
    """MARK ... TUPLE"""
    return b"(" + b"".join(parts) + b"t"


def wholes(values):
    return many(*map(whole, values))


def name(module, attribute):
    """GLOBAL"""
    return f"c{module}\n{attribute}\n".encode()


def called(function, *arguments):
    """REDUCE"""
    return function + many(*arguments) + b"R"


def dictionary(items):
    """EMPTY_DICT MARK ... SETITEMS.   items {str: opcodes}"""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage(key, count, kind="Float", what="storage", module="torch", more=b""):
    """BINPERSID;  more: what the older form adds, a None"""
    return many(text(what), name(module, f"{kind}Storage"), text(key), text("cpu"), whole(count), more) + b"Q"


def tensor(stored, shape, strides, offset=0, function="_rebuild_tensor_v2"):
    """A view of a storage."""
    return called(name("torch._utils", function), stored, whole(offset), wholes(shape), wholes(strides), b"\x89",
                  called(name("collections", "OrderedDict")))


def pickle(body):
    return b"\x80\x02" + body + b"."


# ---- files ---------------------------------------------------------------------------------------------------------

def zipped(path, body, storages=(), extra=(), order="little", compression=zipfile.ZIP_STORED):
    """The form since PyTorch 1.6: the opcodes of an object, {key: bytes} and other members {name: bytes}."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", pickle(body))
        archive.writestr("net/byteorder", order)
        for key, data in dict(storages).items():
            archive.writestr(f"net/data/{key}", data)
        archive.writestr("net/version", "3")
        for member, data in dict(extra).items():
            archive.writestr(member, data)
    return path


def legacy(path, body, storages=(), counts=(), keys=None, little=True, magic=0x1950a86a20f9469cfc6c):
    """The form before PyTorch 1.6: the opcodes of an object, {key: array}; counts {key: how many numbers it says}."""
    storages, counts = dict(storages), dict(counts)
    keys = list(storages) if keys is None else keys
    parts = [whole(magic), whole(1001), dictionary({"little_endian": whole(little)}), body,
             b"](" + b"".join(map(text, keys)) + b"e"]
    numbers = b"".join(struct.pack("<q", counts.get(key, array.size)) + array.tobytes() for key, array in storages.items())
    path.write_bytes(b"".join(map(pickle, parts)) + numbers)
    return path


def state_of(arrays, more=b""):
    """(opcodes, {key: array}) of the state dict {name: array}, each in a storage of its own."""
    items = {}
    for key, (title, array) in enumerate(arrays.items()):
        strides = [math.prod(array.shape[axis + 1:]) for axis in range(array.ndim)]
        items[title] = tensor(storage(str(key), array.size, NAMES[array.dtype.str[1:]], more=more), array.shape, strides)
    return dictionary(items), {str(key): np.ascontiguousarray(array) for key, array in enumerate(arrays.values())}


def save_zip(path, arrays):
    """A sound file of the newer form."""
    body, storages = state_of(arrays)
    return zipped(path, body, {key: array.tobytes() for key, array in storages.items()})


def save_legacy(path, arrays):
    """A sound file of the older form."""
    return legacy(path, *state_of(arrays, more=b"N"))
