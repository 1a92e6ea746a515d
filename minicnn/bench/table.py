"""What the reader sees of the figures."""

_COLUMNS = (("ours_ms", "ours ms", "9.2f"), ("torch_ms", "torch ms", "10.2f"), ("ratio", "ratio", "7.2f"),
            ("gflops", "GFLOP/s", "9.0f"), ("share", "of roof", "9.0%"), ("ours_mb", "ours MB", "9.0f"),
            ("torch_mb", "torch MB", "10.0f"))
LEAST_SHARE = .001                               # of a round: what takes less is not listed one by one


def heading():
    """The first line of the table."""
    return f"{'work':<27}" + "".join(f"{title:>{_width(form)}}" for _, title, form in _COLUMNS) + "  torch's best setting"


def line(row, roof):
    """A work; roof in GFLOP/s, the speed of a matrix product."""
    row = row | ({"share": row["gflops"] / roof} if "gflops" in row else {})
    cells = (format(row[key], form) if row.get(key) is not None else " " * _width(form) for key, _, form in _COLUMNS)
    rounded = f" (tf32: {row['torch_tf32_ms']:.2f} ms)" if "torch_tf32_ms" in row else ""
    return (f"{row['work']:<27}" + "".join(cells) + f"  {row.get('torch_setting', '')}{rounded}").rstrip()


def _width(form):
    return int(form.split(".")[0])


def footing(result):
    """What stands below the table: the layers' mean, the machine, and what was left out."""
    machine = result["machine"]
    lines = ["", f"{machine['processor']}, {machine['processors']} processors, {machine['threads']} threads; "
                 f"NumPy {machine['numpy']} with {machine['blas']}"]
    if "gpu" in machine:
        lines[1] = f"{machine['gpu']}, CuPy {machine['cupy']}; " + lines[1]
    if result["layers_geomean"]:
        lines.insert(1, f"geometric mean of the layers' ratios: {result['layers_geomean']:.2f}")
    if "torch" in machine:
        lines.append(f"PyTorch {machine['torch']} with {machine['torch_threads']} threads")
    lines.append(f"roof: {machine['matrix_product_gflops']:.0f} GFLOP/s, a product by {machine['matrix_product_by']}; "
                 "fewer multiplications than the definition's can pass it")
    if machine["unset"]:
        lines.append(f"not heeded, for both sides: {', '.join(machine['unset'])}")
    lines += [f"{row['work']}: without {setting}: {why}" for row in result["results"]
              for setting, why in row.get("torch_left_out", {}).items()]
    return "\n".join(lines)


def profile(name, found):
    """Where the time of a work goes, in sums and in detail; `found` as profiling.py returns it."""
    whole = found["ms"]
    rest = [("Python and the rest", "", "", None, found["rest_ms"]), ("a round", "", "", None, whole)]
    rows = [(row["operation"], row["what"], " ".join(map(_shape, row["shapes"])), row["calls"], row["ms"])
            for row in found["rows"]]
    long = [row for row in rows if row[4] >= LEAST_SHARE * whole]
    short = [row for row in rows if row[4] < LEAST_SHARE * whole]
    if short:
        long.append((f"below {LEAST_SHARE:.1%} each", "", "", *(sum(row[i] for row in short) for i in (3, 4))))
    return "\n".join([f"{name}: where the time goes", *_profile_lines(_sums(rows) + rest, whole), "",
                      *_profile_lines(long + rest, whole), ""])


def _sums(rows):
    """One row for all shapes of an operation and direction."""
    sums = {}
    for operation, what, _, calls, ms in rows:
        before = sums.get((operation, what), (0, 0))
        sums[operation, what] = before[0] + calls, before[1] + ms
    return sorted(((*key, "", *entry) for key, entry in sums.items()), key=lambda row: -row[4])


def _profile_lines(rows, whole):
    titles = ("operation", "direction", "arrays" if any(row[2] for row in rows) else "")
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(3)]
    words = "  ".join(f"{{:<{width}}}" for width in widths)
    return [words.format(*titles) + f"{'calls':>7}{'ms':>10}{'share':>8}",
            *(words.format(*texts) + f"{calls or '':>7}{ms:>10.2f}{ms / whole:>8.1%}" for *texts, calls, ms in rows)]


def _shape(shape):
    return "x".join(map(str, shape)) or "number"
