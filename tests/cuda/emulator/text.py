"""Reading CUDA C++ text: which kernels it has, and shared memory in words of C++.

These are regular expressions, not a parser.  What they cannot read they refuse, with the declaration.
"""
import re

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
_KERNEL = re.compile(r"(template\s*<[^{};]*?>\s*)?(?:static\s+|inline\s+)*__global__\s+(?:static\s+|inline\s+)*"
                     r"(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?([A-Za-z_]\w*)\s*\(")
_BOUNDS = re.compile(r"__global__\s+(?:void\s+)?__launch_bounds__\s*\(\s*(\d+)[^)]*\)\s*(?:void\s+)?([A-Za-z_]\w*)\s*\(")
_WAITS = re.compile(r"\b(__syncthreads|__syncwarp|__shfl\w*|__ballot_sync|__any_sync|__all_sync|__shared__|__trap)\b")
_SHARED = re.compile(r"(\bextern\s+)?\b__shared__\b([^;]*);")
_ALIGN = re.compile(r"(?:__align__|alignas)\s*\(([^()]*)\)")
_FIRST = re.compile(r"^\s*(.*?)([A-Za-z_]\w*)\s*((?:\[[^\]]*\]\s*)*)$", re.DOTALL)
_OTHER = re.compile(r"^\s*([A-Za-z_]\w*)\s*((?:\[[^\]]*\]\s*)*)$", re.DOTALL)


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def without_comments(text):
    """The text with blanks in place of comments: every line keeps its number, every character its place."""
    return _COMMENT.sub(_blank, text)


def bare(text):
    """The text with blanks in place of comments and strings."""
    return _COMMENT_OR_STRING.sub(_blank, text)


def kernels_in(text):
    """{name: whether it is a template} of all kernels."""
    plain = re.sub(r'extern\s*"C"', _blank, without_comments(text))
    return {name: bool(template) for template, name in _KERNEL.findall(plain)}


def launch_bounds(text):
    """{kernel: threads} of those that say __launch_bounds__ with a number."""
    return {name: int(threads) for threads, name in _BOUNDS.findall(without_comments(text))}


def threads_wait(text):
    """Whether threads wait for each other anywhere in the text, which takes fibers."""
    return bool(_WAITS.search(bare(text)))


def with_shared_memory(text):
    """The text with each __shared__ declaration as a reference into the block's shared memory."""
    parts, position = [], 0
    for found in _SHARED.finditer(bare(text)):
        lines = "\n" * found.group().count("\n")                         # later lines keep their numbers
        parts += [text[position:found.start()], _declaration(found.group(2), dynamic=bool(found.group(1))), lines]
        position = found.end()
    return "".join(parts) + text[position:]


def _declaration(body, dynamic):
    """' __align__(16) float a[8], b' -> references to two variables."""
    align = _ALIGN.search(body)
    first, *others = _split(_ALIGN.sub("", body))
    found = _FIRST.match(first)
    names = [found and found.group(2, 3)] + [(match := _OTHER.match(other)) and match.group(1, 2) for other in others]
    if not all(names):
        raise ValueError(f"the emulator cannot read the declaration  __shared__{body};")
    kind = " ".join(re.sub(r"\bstatic\b", "", found.group(1)).split())
    if dynamic:
        return " ".join(f"{kind}* {name} = ({kind}*)::ccpu::dynamic_variable();" for name, _ in names)
    return " ".join(_variable(kind, name, " ".join(sides.split()), align.group(1) if align else "1")
                    for name, sides in names)


def _variable(kind, name, sides, align):
    """One variable: `sides` are its [8][8], its key is the address of a constant that all threads share."""
    return (f"static const char ccpu_key_{name} = 0; typedef {kind} ccpu_type_{name}{sides}; "
            f"ccpu_type_{name}& {name} = *(ccpu_type_{name}*)::ccpu::shared_variable(&ccpu_key_{name}, "
            f'sizeof(ccpu_type_{name}), max(alignof(ccpu_type_{name}), (size_t)({align})), "{name}", __LINE__);')


def _split(text):
    """At the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
