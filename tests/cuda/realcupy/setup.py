"""Make a Python environment in which the real CuPy runs on a machine without a GPU, or bring it up to date.

    python tests/cuda/realcupy/setup.py FOLDER [--headers FOLDER]
    MINICNN_CUPY=emulated FOLDER/bin/python -m pytest tests/cuda

It needs this Python with its headers, g++, nm (binutils) and PyPI, and takes half a minute.  What is there
already is kept.
"""
import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
from pathlib import Path

CUPY, CYTHON = "14.2.0", "3.2.4"                 # CuPy's wheel was built with this Cython: its modules share structs
HEADERS = "nvidia-cuda-runtime==13.2.75", "nvidia-cuda-crt==13.2.78", "nvidia-cuda-profiler-api==13.2.75"
RUNTIME = "cupy_backends/cuda/api/runtime"       # the module that is made anew
CONSTANTS = ("CUPY_CUDA_VERSION=13020,CUPY_HIP_VERSION=0,CUPY_USE_CUDA_PYTHON=False,CUPY_CUFFT_STATIC=False,"
             f"CUPY_CYTHON_VERSION={CYTHON}")    # of its text, as CuPy's own build sets them
DIRECTIVES = ("embedsignature=True,c_api_binop_methods=True,binding=False,freethreading_compatible=True,"
              "warn.deprecated.IF=False")
NOT_SUPPORTED = {"libcuda.so.1": 801, "libcublas.so.13": 15, "libcublasLt.so.13": 15, "libcurand.so.10": 204}   # of a stub

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
LIBRARIES = "emulated-cuda"                      # of the environment; __init__.py looks there


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the environment, a venv")
    parser.add_argument("--headers", type=Path, help="with cuda.h (default: NVIDIA's packages on PyPI)")
    wanted = parser.parse_args()
    began, folder = time.perf_counter(), wanted.folder.resolve()
    needs("g++", "nm")
    python = environment(folder)
    headers = wanted.headers or cuda_headers(folder, python)
    build(folder / LIBRARIES, site_packages(folder), cupy_source(folder, python), python, headers)
    run(python, "-c", "import realcupy; print(realcupy.activate().arange(3) * 2)", cwd=HERE.parent)
    print(f"ready in {time.perf_counter() - began:.0f} s; now\n"
          f"    MINICNN_CUPY=emulated {python} -m pytest tests/cuda")


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"{program} is missing")


def run(*command, **options):
    """Run a command; what it says is shown when it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nfailed with {done.returncode}")
    return done.stdout


def told(what, there):
    print(f"{'have' if there else 'make'}  {what}", flush=True)
    return there


# ---------------------------------------------------------------------------------------------- what PyPI has

def environment(folder):
    """A venv with CuPy, Cython, and what minicnn and its tests need.   ->   its Python"""
    python = folder / "bin" / "python"
    if not told(f"environment {folder}", python.exists()):
        venv.create(folder, with_pip=True)
    if not told(f"CuPy {CUPY}, Cython {CYTHON}, minicnn's packages", (site_packages(folder) / "Cython").exists()):
        run(python, "-m", "pip", "install", "-q", f"cupy-cuda13x=={CUPY}", f"Cython=={CYTHON}", "-e", f"{CHECKOUT}[test]")
    return python


def site_packages(folder):
    return Path(sysconfig.get_path("platlib", "posix_prefix", {"base": str(folder), "platbase": str(folder)}))


def cuda_headers(folder, python):
    """The folder that holds cuda.h.  It is not in site-packages, where CuPy would find NVIDIA's libraries."""
    place = folder / LIBRARIES / "headers"
    if not told("NVIDIA's headers", place.exists()):
        run(python, "-m", "pip", "install", "-q", "--no-deps", "--target", place, *HEADERS)
    return next(place.rglob("cuda.h")).parent


def cupy_source(folder, python):
    """The folder of CuPy's source distribution."""
    place = folder / LIBRARIES / "source"
    unpacked = place / f"cupy-{CUPY}"
    if not told("CuPy's source", unpacked.exists()):
        run(python, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "cupy", "-d", place, f"cupy=={CUPY}",
            env={**os.environ, "CUPY_INSTALL_USE_STUB": "1"})                # its setup shall look for no CUDA
        with tarfile.open(place / f"cupy-{CUPY}.tar.gz") as archive:
            archive.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return unpacked


# ---------------------------------------------------------------------------------------------- what g++ makes

def build(place, packages, source, python, headers):
    """The module, and three libraries that say to their own names what the wheel's modules want to hear."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    module = runtime_module(place / f"runtime{suffix}", source, python, headers)
    libs = packages / "cupy_backends/cuda/libs"
    library(place / "libcuda.so.1", sorted((HERE / "libcuda").iterdir()), module, "cuda", headers)
    library(place / "libcublas.so.13", [HERE / "libcublas.cpp"], libs / f"cublas{suffix}", "cublas", headers)
    library(place / "libcublasLt.so.13", [], libs / f"cublas{suffix}", "cublasLt", headers)      # must be there
    library(place / "libcurand.so.10", [], libs / f"curand{suffix}", "curand", headers)


def is_new(product, sources):
    return product.exists() and all(product.stat().st_mtime > path.stat().st_mtime for path in sources)


def runtime_module(product, source, python, headers):
    """cupy_backends.cuda.api.runtime without NVIDIA's static runtime: it takes the functions that libcuda.so.1 has."""
    if told(f"{product.name}, from CuPy's source", is_new(product, [HERE / "setup.py"])):
        return product
    text = source / f"{RUNTIME}.cpp"             # beside its .pyx: it includes by relative paths
    run(python, "-m", "cython", "--cplus", "-3", "-E", CONSTANTS, "-X", DIRECTIVES,
        "--module-name", RUNTIME.replace("/", "."), f"{RUNTIME}.pyx", "-o", text, cwd=source)
    compile_library(product, [text], "-O1", "-I", source / "cupy_backends", "-I", headers,
                    "-I", sysconfig.get_path("include"))
    return product


def library(product, sources, asker, prefix, headers):
    """A library of `sources`, and of stubs for all else that begins with `prefix` and that the binary `asker` asks for."""
    if told(f"{product.name}", is_new(product, [*sources, HERE / "setup.py", asker])):
        return
    sources, options = [path for path in sources if path.suffix == ".cpp"], ["-O3", "-I", headers]
    asked = names(asker, "--undefined-only", prefix)
    if sources:
        compile_library(product, sources, *options)
    stubs = sorted(asked - (names(product, "--defined-only", prefix) if sources else set()))
    text, versions = product.with_suffix(".stubs.cpp"), product.with_suffix(".map")
    text.write_text("".join(f'extern "C" int {name}() {{ return {NOT_SUPPORTED[product.name]}; }}\n' for name in stubs))
    versions.write_text(f"{product.name} {{ global: *; }};\n")
    compile_library(product, [*sources, text], *options, f"-Wl,--version-script={versions}")
    print(f"      {len(asked) - len(stubs)} functions of {len(asked)}, the others refuse")


def names(binary, which, prefix):
    """The symbols of a library that begin with `prefix`."""
    words = [line.split()[-1].partition("@")[0] for line in run("nm", "-D", which, binary).splitlines()]
    return {word for word in words if word.startswith(prefix)}


def compile_library(product, sources, *options):
    product.parent.mkdir(parents=True, exist_ok=True)
    made = product.with_suffix(".new")
    run("g++", "-std=c++17", "-w", "-shared", "-fPIC", f"-Wl,-soname,{product.name}", *options, *sources, "-o", made)
    made.replace(product)


if __name__ == "__main__":
    main()
