"""A stand-in for the part of CuPy that minicnn uses: NumPy memory, g++-compiled kernels (cudacpu), no CuPy installed.

Install it with `cupy_standin.install()`; afterwards `import cupy` gives this module. Only names that the real CuPy 14.2 has
(cupy_api.json, read off the wheel) exist; anything NumPy-only raises AttributeError as it would there."""
import ctypes, json, os, sys, types
import numpy as np
import os, sys; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import emulator as cudacpu
HERE = os.path.dirname(os.path.abspath(__file__))
API = json.load(open(os.path.join(HERE, 'cupy_api.json')))
MODE, ORDER, SEED = os.environ.get('CUDACPU_MODE', 'fast'), 0, 0
live = {}                                             # base address -> (nbytes, read-only flag)
__version__ = API['version']


class _Block:                                         # one device allocation: 256 bytes of guard on both sides
    def __init__(self, nbytes):
        self.buf = np.full(nbytes + 768, 0xFF, np.uint8)
        self.ptr = (self.buf.ctypes.data + 256 + 255) // 256 * 256
        self.off, self.nbytes = self.ptr - self.buf.ctypes.data, nbytes
        live[self.ptr] = nbytes

    def __del__(self):
        live.pop(self.ptr, None)
        b = self.buf
        if not ((b[self.off - 256:self.off] == 0xFF).all() and (b[self.off + self.nbytes:self.off + self.nbytes + 200] == 0xFF).all()):
            sys.stderr.write('cupy_standin: bytes beside an array were overwritten\n')


def _new(shape, dtype):
    dtype = np.dtype(dtype or float)
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    n = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    blk = _Block(n)
    return ndarray._of(blk.buf[blk.off:blk.off + n].view(dtype).reshape(shape), blk)


class ndarray:
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float):
        x = _new(shape, dtype)
        self._a, self._blk = x._a, x._blk

    @classmethod
    def _of(cls, a, blk):
        self = object.__new__(cls)
        self._a, self._blk = a, blk
        return self

    def __array__(self, *a, **k):
        raise TypeError('Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.')

    def __array_ufunc__(self, ufunc, method, *inputs, **kw):
        if ufunc.__name__ not in API['functions'] or method not in ('__call__', 'at', 'reduce', 'accumulate', 'reduceat', 'outer'):
            return NotImplemented
        if any(isinstance(x, np.ndarray) and x.ndim for x in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        out = kw.get('out')
        r = getattr(ufunc, method)(*[_un(x) for x in inputs], **{k: _un(v) for k, v in kw.items()})
        return out[0] if isinstance(out, tuple) and len(out) == 1 else _re(r)

    def __array_function__(self, func, types_, args, kw):
        f = _THIS
        for p in (func.__module__.split('.')[1:] if func.__module__.startswith('numpy.') else []) + [func.__name__]:
            f = getattr(f, p, None)
            if f is None:
                return NotImplemented
        return f(*args, **kw)

    def get(self, stream=None, order='C', out=None, blocking=True):
        return self._a.copy(order=order)

    def astype(self, dtype, order='K', casting=None, subok=None, copy=True):
        return self if not copy and self._a.dtype == np.dtype(dtype) else _re(self._a.astype(dtype))

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._a.ctypes.data, mem=self._blk)

    @property
    def shape(self):
        return self._a.shape

    def __getattr__(self, n):
        if n.startswith('_') or n not in API['ndarray']:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {n!r}")
        v = getattr(self._a, n)
        if not callable(v):
            return _re(v, self) if isinstance(v, np.ndarray) else v
        return lambda *a, **k: _re(v(*[_un(x) for x in _no_np(a)], **{q: _un(x) for q, x in k.items()}), self)

    def __getitem__(self, i):
        return _re(self._a[_un(i)], self)

    def __setitem__(self, i, v):
        if isinstance(v, np.ndarray) and v.ndim:
            raise TypeError('numpy.ndarray cannot be assigned into a cupy.ndarray')
        self._a[_un(i)] = _un(v)

    def __len__(self): return len(self._a)
    def __iter__(self): return (self[i] for i in range(len(self._a)))
    def __repr__(self): return repr(self._a)
    def __format__(self, s): return format(self._a.item() if self._a.ndim == 0 else str(self._a), s)
    def __bool__(self): return bool(self._a)
    def __float__(self): return float(self._a)
    def __int__(self): return int(self._a)
    def __index__(self): return self._a.__index__()


def _op(n):
    def f(self, o):
        if isinstance(o, np.ndarray) and o.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        r = getattr(self._a, n)(_un(o))
        return r if r is NotImplemented else self if n.startswith('__i') and n != '__invert__' else _re(r)
    return f


for _n in 'add sub mul truediv floordiv mod pow matmul and or xor lshift rshift'.split():
    for _p in ('', 'r', 'i'):
        setattr(ndarray, f'__{_p}{_n}__', _op(f'__{_p}{_n}__'))
for _n in 'eq ne lt le gt ge'.split():
    setattr(ndarray, f'__{_n}__', _op(f'__{_n}__'))
for _n in 'neg pos abs invert'.split():
    setattr(ndarray, f'__{_n}__', (lambda n: lambda self: _re(getattr(self._a, n)()))(f'__{_n}__'))


def _un(x):
    if isinstance(x, ndarray): return x._a
    if type(x) in (tuple, list): return type(x)(_un(y) for y in x)
    return x


def _re(x, owner=None):
    if isinstance(x, (np.ndarray, np.generic)):
        if owner is not None and isinstance(x, np.ndarray) and np.may_share_memory(x, owner._a) and x.size:
            return ndarray._of(x, owner._blk)         # a view of the same allocation
        r = _new(np.shape(x), x.dtype)                # everything the "device" makes is a guarded allocation; 0-d stays an array
        r._a[...] = x
        return r
    if type(x) in (tuple, list): return type(x)(_re(y, owner) for y in x)
    return x


def _no_np(args):
    for x in args:
        if isinstance(x, np.ndarray) and x.ndim: raise TypeError(f'Unsupported type {type(x)}')
        if type(x) in (tuple, list): _no_np(x)
    return args


def _delegate(name, f):
    params = API['functions'].get(name)
    def g(*a, **k):
        _no_np(a); _no_np(list(k.values()))
        if params and not any(p in ('args', 'kwargs') for p in params):
            bad = [q for q in k if q not in params]
            if bad: raise TypeError(f"{name}() got an unexpected keyword argument '{bad[0]}'")
        first = next((x for x in a if isinstance(x, ndarray)), None)
        out = k.get('out')
        r = f(*[_un(x) for x in a], **{q: _un(v) for q, v in k.items()})
        return out if isinstance(out, ndarray) else _re(r, first)
    if isinstance(f, np.ufunc):
        for m in ('at', 'reduce', 'accumulate', 'outer', 'reduceat'):
            setattr(g, m, (lambda m: lambda *a, **k: _re(getattr(f, m)(*[_un(x) for x in _no_np(a)], **{q: _un(v) for q, v in k.items()})))(m))
    g.__name__ = name
    return g


def __getattr__(n):
    if n in API['functions']:
        f = getattr(np, n)
        r = f if isinstance(f, type) else _delegate(n, f)
        globals()[n] = r
        return r
    if n in ('pi', 'inf', 'nan', 'newaxis', 'e'): return getattr(np, n)
    raise AttributeError(f"module 'cupy' has no attribute {n!r}")


def asnumpy(a, stream=None, order='C', out=None, blocking=True): return a.get() if isinstance(a, ndarray) else np.asarray(a)
def asarray(a, dtype=None, order=None): return a if isinstance(a, ndarray) and (dtype is None or dtype == a.dtype) else array(a, dtype)   # float64 == None
def array(a, dtype=None, copy=True, order='K', subok=False, ndmin=0): return _re(np.array(_un(a), dtype=dtype, ndmin=ndmin))
def empty(shape, dtype=float, order='C'): return _new(shape, dtype)
def empty_like(a, dtype=None): return _new(a.shape, dtype or a.dtype)
def get_array_module(*args): return _THIS if any(isinstance(a, ndarray) for a in args) else np
def ascontiguousarray(a, dtype=None): return a if a._a.flags.c_contiguous and (dtype is None or dtype == a.dtype) else _re(np.ascontiguousarray(a._a, dtype))
float16, float32, float64, int8, int32, int64, uint8, uint32, uint64, bool_ = np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64, np.bool_


class _Func:
    def __init__(self, mod, name): self.mod, self.name, self.max_dynamic_shared_size_bytes = mod, name, 49152
    def __call__(self, grid, block, args, shared_mem=0, stream=None):
        p, sig = [], self.mod.signature(self.name)
        if len(args) != len(sig): raise TypeError(f'{self.name}: {len(args)} arguments for {len(sig)} parameters')
        for i, (a, (size, kind)) in enumerate(zip(args, sig)):
            if isinstance(a, ndarray): v, k = ctypes.c_void_p(a._a.ctypes.data), 'p'
            elif isinstance(a, (bool, np.bool_)): v, k = ctypes.c_bool(bool(a)), 'i'
            elif isinstance(a, np.generic): v, k = np.ctypeslib.as_ctypes_type(a.dtype)(a.item()), 'f' if a.dtype.kind == 'f' else 'i'
            elif isinstance(a, int): v, k = ctypes.c_longlong(a), 'p' if kind == 'p' else 'i'   # CuPy hands an int over as 64 bits
            elif isinstance(a, float): v, k = ctypes.c_double(a), 'f'                           # ... and a float as a double
            elif isinstance(a, np.ndarray) and a.size == 1: v, k = (ctypes.c_char * a.nbytes).from_buffer_copy(a.tobytes()), kind
            else: raise TypeError(f'Unsupported type {type(a)}')
            if kind == 'p' and k == 'i' and ctypes.sizeof(v) == 8 and not a: k = 'p'       # a null pointer
            if k != kind or ctypes.sizeof(v) < size or (k == 'f' and ctypes.sizeof(v) != size):
                raise TypeError(f'{self.name}: argument {i} is {a!r} ({ctypes.sizeof(v)} bytes, {k}), the parameter has {size} bytes of kind {kind}')
            p.append(v)
        try:
            self.mod.launch(self.name, tuple(grid), tuple(block), p, shared_mem, ORDER, SEED, [(b, n, 0) for b, n in live.items()], self.max_dynamic_shared_size_bytes)
        except cudacpu.KernelError as e:
            raise cuda.driver.CUDADriverError(str(e)) from None


class RawModule:
    def __init__(self, *, code=None, path=None, options=(), backend='nvrtc', translate_cucomplex=False, enable_cooperative_groups=False, name_expressions=None, jitify=False):
        self.mod = cudacpu.Module(code, options, name_expressions, mode=MODE)
    def get_function(self, name):
        if name not in self.mod.names: raise cuda.driver.CUDADriverError('CUDA_ERROR_NOT_FOUND: named symbol not found')
        return _Func(self.mod, name)


class RawKernel(_Func):
    def __init__(self, code, name, options=(), backend='nvrtc', *, translate_cucomplex=False, enable_cooperative_groups=False, jitify=False):
        super().__init__(None, name); self.code, self.options = code, options
    def compile(self, log_stream=None): self.mod = self.mod or cudacpu.Module(self.code, self.options, mode=MODE)
    def __call__(self, grid, block, args, shared_mem=0, stream=None): self.compile(); super().__call__(grid, block, args, shared_mem)


_CT = {'?': 'bool', 'b': 'signed char', 'B': 'unsigned char', 'i': 'int', 'I': 'unsigned', 'l': 'long long', 'q': 'long long', 'L': 'unsigned long long', 'f': 'float', 'd': 'double'}


def _params(text):
    r = []
    for p in filter(None, (q.strip() for q in text.split(','))):
        w = p.split(); raw = w[0] == 'raw'
        r.append((w[-2], w[-1], raw))
    return r


class ElementwiseKernel:
    def __init__(self, in_params, out_params, operation, name='kernel', options=(), preamble='', **kw):
        self.i, self.o, self.op, self.name, self.pre, self.cache = _params(in_params), _params(out_params), operation, name, preamble, {}
    def __call__(self, *args, size=None, block_size=128, **kw):
        outs = list(args[len(self.i):]); args = args[:len(self.i)]; _no_np(args)
        shape = np.broadcast_shapes(*[np.shape(_un(a)) for a, (_, _, raw) in zip(args, self.i) if not raw]) if size is None else (size,)
        T = {}
        for a, (t, n, raw) in zip(list(args) + outs, self.i + self.o):
            if len(t) == 1 and isinstance(a, ndarray): T.setdefault(t, a.dtype)
        for a, (t, n, raw) in zip(args, self.i):
            if len(t) == 1: T.setdefault(t, np.result_type(*(list(T.values()) or [np.asarray(a).dtype])))
        dt = lambda t: T[t] if len(t) == 1 else np.dtype(t)
        for t, n, raw in self.o[len(outs):]: outs.append(_new(shape, dt(t)))
        ins = [a if raw else _re(np.ascontiguousarray(np.broadcast_to(np.asarray(_un(a), dt(t)), shape))) for a, (t, n, raw) in zip(args, self.i)]
        ps = self.i + self.o
        key = tuple(dt(t).char for t, _, _ in ps)
        if key not in self.cache:
            body = ''.join(f'const {_CT[dt(t).char]} {n} = _p_{n}[i];\n' for t, n, raw in self.i if not raw) + ''.join(f'{_CT[dt(t).char]}& {n} = _p_{n}[i];\n' for t, n, raw in self.o if not raw)
            sig = ', '.join(f'{"const " if k < len(self.i) else ""}{_CT[dt(t).char]}* {n if raw else "_p_" + n}' for k, (t, n, raw) in enumerate(ps))
            td = ''.join(f'typedef {_CT[d.char]} {t};\n' for t, d in T.items())
            self.cache[key] = RawKernel(f'{td}{self.pre}\nextern "C" __global__ void {self.name}({sig}, long long _n) {{ for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < _n; i += (long long)gridDim.x * blockDim.x) {{ {body} {self.op}; }} }}', self.name)
        tmp = [o if o._a.flags.c_contiguous else _new(o.shape, o.dtype) for o in outs]
        n = int(np.prod(shape, dtype=np.int64))
        if n: self.cache[key]((-(-n // block_size),), (block_size,), (*ins, *tmp, np.int64(n)))
        for o, t in zip(outs, tmp):
            if o is not t: o._a[...] = t._a
        return outs[0] if len(outs) == 1 else tuple(outs)


# ---- submodules
def _mod(name, **kw):
    m = types.ModuleType('cupy.' + name); m.__dict__.update(kw); return m


class _DriverError(RuntimeError): pass


class _Random:
    def __getattr__(self, n):
        if n not in API['random']: raise AttributeError(n)
        r = _Random._rs
        return _delegate('random.' + n, getattr(r, n))
    _rs = np.random.RandomState(0)
    def seed(self, s=None): _Random._rs = np.random.RandomState(s)


random = _Random()
lib = _mod('lib', stride_tricks=_mod('lib.stride_tricks',
    as_strided=lambda x, shape=None, strides=None: ndarray._of(np.lib.stride_tricks.as_strided(x._a, shape, strides), x._blk),
    sliding_window_view=lambda x, window_shape, axis=None, *, subok=False, writeable=False: ndarray._of(np.lib.stride_tricks.sliding_window_view(x._a, window_shape, axis), x._blk)))
linalg = _mod('linalg', norm=_delegate('norm', np.linalg.norm))


class _Null:
    def __getattr__(self, n): return lambda *a, **k: None
    def __enter__(self): return self
    def __exit__(self, *a): return False


cuda = _mod('cuda', is_available=lambda: True, driver=_mod('cuda.driver', CUDADriverError=_DriverError), Stream=lambda *a, **k: _Null(), Event=lambda *a, **k: _Null(),
            runtime=_mod('cuda.runtime', getDeviceCount=lambda: 1, deviceSynchronize=lambda: None, getDeviceProperties=lambda d: {'name': b'cupy_standin', 'multiProcessorCount': 4, 'sharedMemPerBlock': 49152}))


_THIS = sys.modules[__name__]


def install():
    me = _THIS
    me.__name__ = 'cupy'; ndarray.__module__ = 'cupy'
    sys.modules.update({'cupy': me, 'cupy.cuda': cuda, 'cupy.lib': lib, 'cupy.lib.stride_tricks': lib.stride_tricks, 'cupy.random': random, 'cupy.linalg': linalg})
    return me
