"""cudacpu: compile CUDA C++ kernel text with g++ and run it on the CPU (see include/cuda_cpu.h)."""
import ctypes, hashlib, os, re, subprocess, sys, tempfile, time
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
INC = HERE
CACHE = os.environ.get("CUDACPU_CACHE", os.path.join(tempfile.gettempdir(), "cudacpu-cache"))
CXX = os.environ.get("CUDACPU_CXX", "g++")
compile_log = []          # (seconds, mode, cached)


class KernelError(RuntimeError):
    """What the emulator found wrong with a launch or a kernel."""


class CompileError(RuntimeError):
    pass


def mask(src):
    """The same text with comments and string/char literals blanked (same length, newlines kept)."""
    out = []
    i, n = 0, len(src)
    rx = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
    for m in rx.finditer(src):
        out.append(src[i:m.start()])
        out.append(re.sub(r'[^\n]', ' ', m.group()))
        i = m.end()
    out.append(src[i:])
    return ''.join(out)


def _split(s, sep=','):
    parts, depth, cur = [], 0, ''
    for c in s:
        if c in '([{<': depth += 1
        if c in ')]}>': depth -= 1
        if c == sep and depth == 0:
            parts.append(cur); cur = ''
        else:
            cur += c
    return parts + [cur]


def rewrite(src):
    """__shared__ declarations become references into the block's arena; everything else stays as it is."""
    m = mask(src)
    out, pos = [], 0
    for d in re.finditer(r'(\bextern\s+)?\b__shared__\b([^;]*);', m):
        body = d.group(2)
        nl = '\n' * src[d.start():d.end()].count('\n')
        align = re.search(r'(?:__align__|alignas)\s*\(([^()]*)\)', body)
        body = re.sub(r'(?:__align__|alignas)\s*\([^()]*\)', '', body)
        al = align.group(1) if align else '1'
        parts = _split(body)
        mm = re.match(r'^\s*(.*?)([A-Za-z_]\w*)\s*((?:\[[^\]]*\]\s*)*)$', parts[0], re.S)
        if not mm:
            raise CompileError('cannot read the declaration: __shared__%s;' % body)
        typ = re.sub(r'\b(static|volatile)\b', lambda k: '' if k.group() == 'static' else 'volatile', mm.group(1))
        decls = [(mm.group(2), mm.group(3))]
        for p in parts[1:]:
            mm2 = re.match(r'^\s*([A-Za-z_]\w*)\s*((?:\[[^\]]*\]\s*)*)$', p, re.S)
            decls.append((mm2.group(1), mm2.group(2)))
        text = ''
        for name, dims in decls:
            dims = ' '.join(dims.split())
            typ1 = ' '.join(typ.split())
            if d.group(1):
                text += f'{typ1}* {name} = ({typ1}*)::ccpu::dyn_shared();'
            else:
                text += (f'static const char ccpu_k_{name} = 0; typedef {typ1} ccpu_t_{name}{dims}; '
                         f'ccpu_t_{name}& {name} = *(ccpu_t_{name}*)::ccpu::shared_var(&ccpu_k_{name}, '
                         f'sizeof(ccpu_t_{name}), ccpu_maxc(alignof(ccpu_t_{name}), {al}), "{name}");')
        out += [src[pos:d.start()], text, nl]
        pos = d.end()
    out.append(src[pos:])
    return ''.join(out)


_SYNC = re.compile(r'\b(__syncthreads|__syncwarp|__shfl\w*|__ballot_sync|__any_sync|__all_sync|__shared__|__trap|cooperative_groups)\b')
_KERN = re.compile(r'(template\s*<[^{};]*?>\s*)?(?:extern\s*"?C?"?\s*)?(?:static\s+|inline\s+)*__global__\s+(?:static\s+|inline\s+)*'
                   r'(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?([A-Za-z_]\w*)\s*\(')


def kernels_in(src):
    return [(m.group(2), bool(m.group(1))) for m in _KERN.finditer(re.sub(r'extern\s+"C"', lambda k: ' ' * len(k.group()), mask_comments(src)))]


def mask_comments(src):
    return re.sub(r'//[^\n]*|/\*.*?\*/', lambda m: re.sub(r'[^\n]', ' ', m.group()), src, flags=re.S)


MODES = {
    # name: (compile flags, link flags)
    'fast':    (['-O2'], []),
    'check':   (['-O1', '-fno-tree-sra', '-fsanitize=thread', '-DCCPU_CHECK'], []),
    'profile': (['-O1', '-fno-tree-sra', '-fsanitize=thread', '-DCCPU_CHECK', '-DCCPU_PROFILE'], []),
    'asan':    (['-O1', '-fsanitize=address', '-fno-omit-frame-pointer'], ['-fsanitize=address']),
    'ubsan':   (['-O1', '-fsanitize=undefined', '-fno-sanitize-recover=all', '-fno-sanitize=vptr'], ['-fsanitize=undefined']),
}


class Launch(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint) for n in 'gx gy gz bx by bz dyn_shared shared_limit'.split()] + [
        ('order', ctypes.c_int), ('seed', ctypes.c_uint), ('nalloc', ctypes.c_longlong),
        ('alloc', ctypes.c_void_p), ('max_blocks', ctypes.c_longlong)]


class Module:
    def __init__(self, code, options=(), name_expressions=None, mode=None, name='kernel.cu', kernel_names=None):
        self.mode = mode or os.environ.get('CUDACPU_MODE', 'fast')
        opts = [o for o in options if o.startswith(('-D', '-I', '-U'))]
        masked = mask(code)
        self.fibers = bool(_SYNC.search(masked))
        found = kernels_in(code)
        self.names = {}
        for k, is_t in found:
            if not is_t:
                self.names[k] = k
        for k in kernel_names or ():
            self.names.setdefault(k, k)
        for i, e in enumerate(name_expressions or ()):
            self.names[e] = e
        ids = {n: (n if re.fullmatch(r'\w+', n) else 'x%d' % i) for i, n in enumerate(self.names)}
        self.ids = ids
        text = ('#include "cuda_cpu.h"\n#define ccpu_maxc(a, b) ((a) > (b) ? (a) : (b))\n#line 1 "%s"\n' % name
                + rewrite(code) + '\n'
                + ''.join(f'CCPU_ENTRY({ids[n]}, {"true" if self.fibers else "false"}, {e})\n' for n, e in self.names.items()))
        cflags, lflags = MODES[self.mode]
        cflags = cflags + ['-g1', '-std=gnu++17', '-fPIC', '-fno-strict-aliasing', '-fvisibility=hidden', '-w', '-I', INC] + opts
        with open(os.path.join(INC, 'cuda_cpu.h'), 'rb') as f:
            h = hashlib.sha256(f.read() + repr((text, cflags, lflags, CXX)).encode()).hexdigest()[:24]
        os.makedirs(CACHE, exist_ok=True)
        self.so = so = os.path.join(CACHE, f'{h}.so')
        t = time.perf_counter()
        cached = os.path.exists(so)
        if not cached:
            base = os.path.join(CACHE, f'{h}.{os.getpid()}')
            with open(base + '.cpp', 'w') as f:
                f.write(text)
            r = subprocess.run([CXX, '-c', base + '.cpp', '-o', base + '.o'] + cflags, capture_output=True, text=True)
            if r.returncode == 0:
                r = subprocess.run([CXX, '-shared', base + '.o', '-o', base + '.so'] + lflags, capture_output=True, text=True)
            if r.returncode:
                raise CompileError(r.stderr)
            os.replace(base + '.so', so)
            os.replace(base + '.cpp', so[:-3] + '.cpp')
            os.remove(base + '.o')
        self.lib = ctypes.CDLL(so)
        self.seconds = time.perf_counter() - t
        compile_log.append((self.seconds, self.mode, cached))
        self.lib.ccpu_error.restype = ctypes.c_char_p

    def signature(self, name):
        sz, kd = getattr(self.lib, 'ccpu_argsize_' + self.ids[name]), getattr(self.lib, 'ccpu_argkind_' + self.ids[name])
        r = []
        i = 0
        while sz(i) >= 0:
            r.append((sz(i), chr(kd(i)))); i += 1
        return r

    def where(self, off):
        if off <= 0:
            return ''
        r = subprocess.run(['addr2line', '-e', self.so, hex(off - 1)], capture_output=True, text=True).stdout.strip()
        return r.replace('??:0', '')

    def launch(self, name, grid, block, params, shared_mem=0, order=0, seed=0, allocs=(), shared_limit=49152, max_blocks=0):
        """params: ctypes objects or numpy scalars, in order; allocs: (base, size, flags) that the kernel may touch."""
        g = (tuple(grid) + (1, 1, 1))[:3] if not isinstance(grid, int) else (grid, 1, 1)
        b = (tuple(block) + (1, 1, 1))[:3] if not isinstance(block, int) else (block, 1, 1)
        if min(g) < 1 or min(b) < 1:
            raise KernelError(f'invalid configuration: grid {g}, block {b}')
        if b[0] * b[1] * b[2] > 1024 or b[0] > 1024 or b[1] > 1024 or b[2] > 64:
            raise KernelError(f'invalid configuration: a block of {b} threads')
        if g[1] > 65535 or g[2] > 65535 or g[0] > 2**31 - 1:
            raise KernelError(f'invalid configuration: a grid of {g}')
        arr = (ctypes.c_void_p * max(len(params), 1))(*[ctypes.addressof(p) for p in params])
        return self.launch_raw(name, g, b, arr, shared_mem, order, seed, allocs, shared_limit, max_blocks)

    def launch_raw(self, name, g, b, argv, shared_mem=0, order=0, seed=0, allocs=(), shared_limit=49152, max_blocks=0):
        L = Launch(*g, *b, shared_mem, shared_limit, order, seed, 0, None, max_blocks)
        if self.mode in ('check', 'profile'):
            a = np.array(sorted(allocs), dtype=np.uint64).reshape(-1, 3)
            L.nalloc = len(a); L.alloc = a.ctypes.data
        rc = getattr(self.lib, 'ccpu_run_' + self.ids[name])(argv, ctypes.byref(L))
        if rc:
            msg = self.lib.ccpu_error().decode()
            st = self.stats()
            if st.get('fault_pc'):
                msg += ' at ' + self.where(st['fault_pc'])
            raise KernelError(f'{name}: {msg}')

    def stats(self):
        o = (ctypes.c_longlong * 16)()
        self.lib.ccpu_stats(o)
        keys = 'barriers switches static_shared loads stores gload_bytes gstore_bytes sload_bytes sstore_bytes fault_pc'.split()
        return dict(zip(keys, o))

    def profile(self):
        o = (ctypes.c_longlong * (8 * 4096))()
        n = self.lib.ccpu_profile(o, 4096)
        rows = []
        for i in range(n):
            pc, sh, st, size, req, sec, ideal, nbytes = o[8 * i:8 * i + 8]
            rows.append(dict(line=self.where(pc), space='shared' if sh else 'global', op='store' if st else 'load', size=size,
                             requests=req, units=sec, ideal=ideal, bytes=nbytes))
        return rows
