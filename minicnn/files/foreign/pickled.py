"""Reading a pickle without obeying it.

A pickle is a program for a small machine with a stack: its opcodes push numbers and strings, gather them into tuples and
dictionaries, and also fetch any function by its name and call it.  `pickle.load` does as it is told, so a pickle from a
stranger is a program from a stranger.  The machine here knows the thirty-odd opcodes that a dictionary of tensors needs and
no other.  A name stands for what a table of ours says and for nothing else, and nothing is imported.  Only strings and small
whole numbers are keys: to hash a tuple that holds one twice, which holds one twice, and so on, takes for ever, and so does a
dictionary of large numbers that were chosen to collide.

https://docs.python.org/3/library/pickletools.html describes the opcodes.
"""
import struct
from collections.abc import Callable
from dataclasses import dataclass

from .contents import UnreadableWeights, quoted

MOST_BYTES, MOST_STEPS = 1 << 23, 200_000        # an array takes about 40 steps


@dataclass(frozen=True)
class Maker:
    """What a name stands for that the pickle may call."""
    make: Callable


class Machine:
    """Reads one pickle after the other from `data`.

    names        {(module, name): stand-in}, a Maker, or a value that is kept as it is
    persistent   what a persistent id (of any type) stands for: a function
    """

    def __init__(self, data, names, persistent):
        self.data, self.position, self.names, self.persistent = data, 0, names, persistent
        self.steps = 0

    def read(self):
        """The next value.  Raises UnreadableWeights for anything that a dictionary of tensors does not need."""
        self.stack, self.marks, self.memo = [], [], {}
        while (opcode := self.take(1)) != b".":
            if opcode not in STEPS:
                raise UnreadableWeights(f"its pickle uses the opcode {_opcode_name(opcode)}, which weights do not need; "
                                        "nothing of it was run")
            self.spend(1)
            STEPS[opcode](self)
        return self.pop()

    def spend(self, steps):
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise UnreadableWeights(f"its pickle takes more than {MOST_STEPS:,} steps, weights need fewer")

    # ---- bytes

    def take(self, count):
        """The next bytes."""
        start, self.position = self.position, self.position + count
        if count < 0 or self.position > len(self.data):
            raise UnreadableWeights("its pickle is cut short" if len(self.data) < MOST_BYTES else
                                    f"its pickle is longer than {MOST_BYTES:,} bytes, weights need fewer")
        return self.data[start:self.position]

    def number(self, count, signed=False):
        return int.from_bytes(self.take(count), "little", signed=signed)

    def text(self, count):
        """A string after its length in `count` bytes."""
        return self.take(self.number(count)).decode("utf-8")

    def line(self):
        end = self.data.find(b"\n", self.position)
        return self.take((len(self.data) if end < 0 else end) + 1 - self.position)[:-1].decode("utf-8")

    # ---- stack

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise UnreadableWeights("its pickle is damaged: it takes more from its stack than it put there")
        return self.stack.pop()

    def top(self, kind):
        """The topmost value, which is to be filled: of the type `kind`."""
        value = self.pop()
        self.push(value)
        if type(value) is not kind:
            raise UnreadableWeights(f"its pickle fills a {type(value).__name__} as if it were a {kind.__name__}")
        return value

    def since_mark(self):
        """All values above the last mark."""
        if not self.marks:
            raise UnreadableWeights("its pickle is damaged: it goes back to a mark that it did not set")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    # ---- what the opcodes do

    def protocol(self):
        version = self.number(1)
        if not 2 <= version <= 5:
            raise UnreadableWeights(f"its pickle has the protocol {version}, PyTorch writes 2")

    def last(self, count):
        """The last values as a tuple."""
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def append(self, values):
        self.top(list).extend(values)

    def set_items(self, values):
        fill(self.top(dict), zip(values[::2], values[1::2], strict=True))

    def remember(self, place):
        value = self.pop()
        self.push(value)
        self.memo[place] = value

    def recall(self, place):
        if place not in self.memo:
            raise UnreadableWeights("its pickle is damaged: it recalls what it did not remember")
        self.push(self.memo[place])

    def name(self, module, name):
        if not (type(module) is type(name) is str) or (module, name) not in self.names:
            raise UnreadableWeights(f"its pickle asks for {quoted(f'{module}.{name}')}, which weights do not need; nothing "
                                    "of it was run (if you trust it, load it with PyTorch and save its state_dict() alone)")
        self.push(self.names[module, name])

    def call(self):
        """REDUCE: what a pickle makes by calling a function.  Only a Maker of ours is called."""
        arguments, maker = self.pop(), self.pop()
        if type(maker) is not Maker or type(arguments) is not tuple:
            raise UnreadableWeights(f"its pickle calls a {type(maker).__name__}; nothing of it was run")
        self.spend(len(arguments) + sum(len(one) for one in arguments if type(one) in (tuple, list)))    # they may be copied
        self.push(maker.make(*arguments))

    def build(self):
        """The attributes of an OrderedDict: PyTorch keeps the versions of its layers there.  They are dropped."""
        attributes = self.pop()
        self.top(dict)
        if type(attributes) is not dict:
            raise UnreadableWeights("its pickle sets a state that is no dictionary of attributes; nothing of it was run")


def fill(dictionary, pairs):
    """Put pairs into the dictionary.  Raises UnreadableWeights for a key that is there, or no string or whole number."""
    for key, value in pairs:
        if not (type(key) is str or type(key) is int and 0 <= key < 1 << 31):
            raise UnreadableWeights(f"its pickle has a {type(key).__name__} as a key; weights have names")
        if key in dictionary:
            raise UnreadableWeights(f"it holds {quoted(str(key))} twice")
        dictionary[key] = value


def _opcode_name(opcode):
    import pickletools                           # late: only ever for this message
    known = pickletools.code2op.get(opcode.decode("latin1"))
    return known.name if known else f"{opcode!r}, which does not exist"


STEPS = {
    b"\x80": Machine.protocol,                                   # PROTO
    b"\x95": lambda m: m.take(8),                                # FRAME
    b"N": lambda m: m.push(None),                                # NONE
    b"\x88": lambda m: m.push(True),                             # NEWTRUE
    b"\x89": lambda m: m.push(False),                            # NEWFALSE
    b"K": lambda m: m.push(m.number(1)),                         # BININT1
    b"M": lambda m: m.push(m.number(2)),                         # BININT2
    b"J": lambda m: m.push(m.number(4, signed=True)),            # BININT
    b"\x8a": lambda m: m.push(m.number(m.number(1), signed=True)),       # LONG1
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),   # BINFLOAT
    b"X": lambda m: m.push(m.text(4)),                           # BINUNICODE
    b"\x8c": lambda m: m.push(m.text(1)),                        # SHORT_BINUNICODE
    b"T": lambda m: m.push(m.text(4)),                           # BINSTRING: the strings of Python 2
    b"U": lambda m: m.push(m.text(1)),                           # SHORT_BINSTRING
    b"(": lambda m: m.marks.append(len(m.stack)),                # MARK
    b")": lambda m: m.push(()),                                  # EMPTY_TUPLE
    b"t": lambda m: m.push(tuple(m.since_mark())),               # TUPLE
    b"\x85": lambda m: m.last(1),                                # TUPLE1
    b"\x86": lambda m: m.last(2),                                # TUPLE2
    b"\x87": lambda m: m.last(3),                                # TUPLE3
    b"]": lambda m: m.push([]),                                  # EMPTY_LIST
    b"a": lambda m: m.append([m.pop()]),                         # APPEND
    b"e": lambda m: m.append(m.since_mark()),                    # APPENDS
    b"}": lambda m: m.push({}),                                  # EMPTY_DICT
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),       # SETITEM
    b"u": lambda m: m.set_items(m.since_mark()),                 # SETITEMS
    b"q": lambda m: m.remember(m.number(1)),                     # BINPUT
    b"r": lambda m: m.remember(m.number(4)),                     # LONG_BINPUT
    b"\x94": lambda m: m.remember(len(m.memo)),                  # MEMOIZE
    b"h": lambda m: m.recall(m.number(1)),                       # BINGET
    b"j": lambda m: m.recall(m.number(4)),                       # LONG_BINGET
    b"c": lambda m: m.name(m.line(), m.line()),                  # GLOBAL
    b"\x93": lambda m: m.name(*[m.pop(), m.pop()][::-1]),        # STACK_GLOBAL
    b"Q": lambda m: m.push(m.persistent(m.pop())),               # BINPERSID
    b"R": Machine.call,                                          # REDUCE
    b"b": Machine.build,                                         # BUILD
}
