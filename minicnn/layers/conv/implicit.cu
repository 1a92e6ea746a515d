// Convolution as a product of matrices, of which the left one, all patches of the image, is never stored ("implicit").
//
//     y[pixel, k]  =  sum over tap, c of   x[pixel moved by tap, c] * w[tap, c, k]          channels lie last, side by side
//
//                            columns: filters k                   One block of threads makes one tile of y, TALL pixels by
//                          +---------------------+                WIDE filters.  It goes along the inner dimension in
//       inner: tap, c      |  w       [ WIDE ]   | inner          slices of 16.  Of each slice, its threads carry a piece of
//     +---------------+    |          [  16  ]   |                the patches (16 x TALL) and a piece of w (16 x WIDE) to
//     |               |    +---------------------+                shared memory together, so that a number which came from
//     | [16 x TALL]   |    |                     |                far away is used WIDE, or TALL, times.  Each thread then
//     |  patches      |    |  y    tile TALL     |                multiplies: it holds 8 x 8 numbers of y in registers, and
//     |  of x         |    |       by WIDE       |  pixels        of every row of the slice it reads 8 + 8 numbers for 64
//     +---------------+    +---------------------+                multiply-adds.
//
// Memory is slow, so the slice after next is already on its way: while a slice is multiplied, the next one is read into
// registers, and then written into the other one of two buffers.  Hence one barrier a slice is enough.
//
// A warp, 32 threads, makes 64 pixels by 32 filters.  Its lanes lie 8 x 4, and a lane's 8 x 8 numbers are four pieces of
// 4 x 4: with pieces 32 pixels and 16 filters apart, no two lanes that read at once want different rows of one memory bank.
//
//     filters   0..3 4..7 8..11 12..15 | 16..19 ...           lane  0   1   2   3 |  0   1   2   3
//     pixels    0..3                                                4   5   6   7 |  4   5   6   7
//                :                                                  :             |
//              32..35  (the same lanes once more)                   0   1   2   3 |  0 ...
//
// The gradient with respect to x is the same sum with other numbers: dy takes the place of x, and w stands with its c and k
// exchanged.  All that differs is which pixel is which, and that an `Axis` says (see there).

constexpr int SLICE = 16;

// How one axis (rows, or columns) of the output finds its pixels in the source.  Output a of this launch lies at
//     a * stride + first              in the output, and its tap i sees
//     a * step + start + i * per_tap  in the source; outside of 0 .. source - 1 there are zeros.
// A convolution has step = stride of the layer, start = -padding, per_tap = dilation.  Its gradient runs backwards: step 1,
// and a launch for each residue of pixels modulo the stride, with those taps that meet them.
struct Axis { int source, outputs, stride, first, size, step, start, per_tap, taps; };

// All sizes of a launch: `pixels` are N * rows.outputs * columns.outputs; inner and filters are those of one group.
struct Sizes { Axis rows, columns; int pixels, inner, filters, relu; };

// The four numbers at `from` of which the first `left` exist; ALIGNED: they are all there, or none is, and lie on 16 bytes.
template <bool ALIGNED>
__device__ float4 four(const float* from, int left) {
    if (ALIGNED)
        return left > 0 ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
    return make_float4(left > 0 ? from[0] : 0, left > 1 ? from[1] : 0, left > 2 ? from[2] : 0, left > 3 ? from[3] : 0);
}

template <bool ALIGNED>
__device__ void put(float* to, float4 v, int left) {
    if (ALIGNED) {
        if (left > 0)
            *reinterpret_cast<float4*>(to) = v;
        return;
    }
    if (left > 0) to[0] = v.x;
    if (left > 1) to[1] = v.y;
    if (left > 2) to[2] = v.z;
    if (left > 3) to[3] = v.w;
}

// Four neighbouring lanes bring the 16 channels of one pixel, and write them into 16 rows of the same column: into one bank.
// So rows 4..7, 8..11 and 12..15 of a slice keep their pixels elsewhere: number p at p ^ 8, p ^ 16 and p ^ 24.
__device__ int swizzled(int row, int pixel) { return pixel ^ ((row / 4 & 3) * 8); }

// Where in the tile this thread's four pieces lie: at rows `tall` and tall + 32, columns `wide` and wide + 16.
template <int WIDE>
struct Place {
    int tall, wide;
    __device__ Place() {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        tall = warp / (WIDE / 32) * 64 + lane / 4 * 4;
        wide = warp % (WIDE / 32) * 32 + lane % 4 * 4;
    }
};

// sum += slice of a, transposed, times slice of b.  All loops are unrolled: `sum` is 64 registers.
template <int TALL, int WIDE, bool SWIZZLED>
__device__ void multiply(const float (&a)[SLICE][TALL], const float (&b)[SLICE][WIDE], float (&sum)[8][8],
                         const Place<WIDE>& place) {
#pragma unroll
    for (int row = 0; row < SLICE; ++row) {
        const int tall = SWIZZLED ? swizzled(row, place.tall) : place.tall;
        const float4 a0 = *reinterpret_cast<const float4*>(&a[row][tall]);
        const float4 a1 = *reinterpret_cast<const float4*>(&a[row][tall + 32]);
        const float4 b0 = *reinterpret_cast<const float4*>(&b[row][place.wide]);
        const float4 b1 = *reinterpret_cast<const float4*>(&b[row][place.wide + 16]);
        const float av[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
        const float bv[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
            for (int j = 0; j < 8; ++j)
                sum[i][j] += av[i] * bv[j];
    }
}

// ---- y, or the gradient with respect to x --------------------------------------------------------------------------
//
// x (N, rows.source, columns.source, groups * inner)     w (taps, inner, groups * filters)     bias: a number a filter, or null
// y (N, rows.size, columns.size, groups * filters)       of which this launch makes N * rows.outputs * columns.outputs pixels
//
// blockIdx.x: tile of pixels     blockIdx.y: tile of filters     blockIdx.z: group
// FLAT: inner is no multiple of 4, or small.  Then tap and channel run as one index, and each number is looked up by itself.
// ALIGNED: filters is a multiple of 4.
template <int TALL, int WIDE, bool FLAT, bool ALIGNED>
__device__ void convolve(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                         float* __restrict__ y, const Sizes& sizes) {
    constexpr int THREADS = TALL * WIDE / 64;
    constexpr int PIXELS = TALL * 4 / THREADS;          // that a thread reads four channels of, for each slice
    constexpr int WEIGHTS = WIDE * 4 / THREADS;         // fours of weights, likewise
    __shared__ __align__(16) float patches[2][SLICE][TALL];
    __shared__ __align__(16) float weights[2][SLICE][WIDE];
    const Axis &rows = sizes.rows, &columns = sizes.columns;
    const int pixels = sizes.pixels, inner = sizes.inner, filters = sizes.filters;
    const int channels = gridDim.z * inner, all_filters = gridDim.z * filters;
    const int first_pixel = blockIdx.x * TALL, first_filter = blockIdx.y * WIDE;
    const int quad = threadIdx.x % 4 * 4;               // the four channels, of a slice's 16, that this thread reads
    x += blockIdx.z * inner;
    w += blockIdx.z * filters;

    int row[PIXELS], column[PIXELS], base[PIXELS];      // the pixels that it reads: where the source meets them at tap 0,
                                                        // and as a number of x
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) {
        const int pixel = first_pixel + threadIdx.x / 4 + i * (THREADS / 4), in_rows = pixel / columns.outputs;
        const int n = in_rows / rows.outputs;
        row[i] = (in_rows - n * rows.outputs) * rows.step + rows.start;
        column[i] = (pixel - in_rows * columns.outputs) * columns.step + columns.start;
        base[i] = ((n * rows.source + row[i]) * columns.source + column[i]) * channels;
        if (pixel >= pixels)
            row[i] = -0x40000000;                       // so far outside that no tap leads back
    }
    // the number of x that pixel i sees at tap (r, c), or -1 if that is outside the image
    auto at = [&](int i, int r, int c) {
        r *= rows.per_tap;
        c *= columns.per_tap;
        const bool inside = row[i] + r >= 0 && row[i] + r < rows.source && column[i] + c >= 0 && column[i] + c < columns.source;
        return inside ? base[i] + (r * columns.source + c) * channels : -1;
    };

    float4 next_patches[PIXELS], next_weights[WEIGHTS];                // the next slice, on its way
    int where[PIXELS];                                                 // of the pixels, at the present tap
    int tap_row = 0, tap_column = -1, slice = inner;                   // so that the first step leads to the first tap
    const int depth = rows.taps * columns.taps * inner;                // FLAT: of the whole inner dimension

    auto advance = [&]() {                                             // to the next slice: false behind the last
        slice += SLICE;
        if (FLAT)
            return slice < depth;
        if (slice < inner)
            return true;
        if (++tap_column == columns.taps) {
            tap_column = 0;
            ++tap_row;
        }
#pragma unroll
        for (int i = 0; i < PIXELS; ++i)
            where[i] = at(i, tap_row, tap_column);
        slice = 0;
        return tap_row < rows.taps;
    };
    auto read_patches = [&]() {
        if (!FLAT) {
#pragma unroll
            for (int i = 0; i < PIXELS; ++i)
                next_patches[i] = four<true>(x + where[i] + slice + quad, where[i] < 0 ? 0 : inner - slice - quad);
            return;
        }
        float value[PIXELS][4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int number = slice + quad + j, tap = number / inner, c = number - tap * inner;
            const int r = tap / columns.taps, k = tap - r * columns.taps;
#pragma unroll
            for (int i = 0; i < PIXELS; ++i) {
                const int from = number < depth ? at(i, r, k) : -1;
                value[i][j] = from < 0 ? 0.f : x[from + c];
            }
        }
#pragma unroll
        for (int i = 0; i < PIXELS; ++i)
            next_patches[i] = make_float4(value[i][0], value[i][1], value[i][2], value[i][3]);
    };
    auto read_weights = [&]() {
        const int tap = FLAT ? 0 : tap_row * columns.taps + tap_column, length = FLAT ? depth : inner;
#pragma unroll
        for (int i = 0; i < WEIGHTS; ++i) {
            const int number = threadIdx.x + i * THREADS, r = number / (WIDE / 4), k = first_filter + number % (WIDE / 4) * 4;
            const int left = slice + r < length ? filters - k : 0;
            next_weights[i] = four<ALIGNED>(w + (tap * inner + slice + r) * all_filters + k, left);
        }
    };
    auto store = [&](int buffer) {                                     // registers -> shared memory
#pragma unroll
        for (int i = 0; i < PIXELS; ++i) {
            const int pixel = swizzled(quad, threadIdx.x / 4 + i * (THREADS / 4));
            const float4 v = next_patches[i];
            patches[buffer][quad][pixel] = v.x;
            patches[buffer][quad + 1][pixel] = v.y;
            patches[buffer][quad + 2][pixel] = v.z;
            patches[buffer][quad + 3][pixel] = v.w;
        }
#pragma unroll
        for (int i = 0; i < WEIGHTS; ++i) {
            const int number = threadIdx.x + i * THREADS;
            *reinterpret_cast<float4*>(&weights[buffer][number / (WIDE / 4)][number % (WIDE / 4) * 4]) = next_weights[i];
        }
    };

    const Place<WIDE> place;
    float sum[8][8] = {};
    if (FLAT)
        slice = -SLICE;
    bool more = advance();
    if (more) {                                                        // else no tap at all meets a pixel, and y is the bias
        read_patches();
        read_weights();
        store(0);
    }
    for (int buffer = 0; more; buffer ^= 1) {
        __syncthreads();                                               // this buffer is full, and nobody reads the other
        more = advance();
        const bool last = !more;
        if (!last) {
            read_patches();
            read_weights();
        }
        multiply<TALL, WIDE, true>(patches[buffer], weights[buffer], sum, place);
        if (!last)
            store(buffer ^ 1);
    }

#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int pixel = first_pixel + place.tall + (i < 4 ? i : i + 28);
        if (pixel >= pixels)
            continue;
        const int in_rows = pixel / columns.outputs, n = in_rows / rows.outputs;
        const int r = (in_rows - n * rows.outputs) * rows.stride + rows.first;
        const int c = (pixel - in_rows * columns.outputs) * columns.stride + columns.first;
        float* to = y + ((n * rows.size + r) * columns.size + c) * all_filters + blockIdx.z * filters;
#pragma unroll
        for (int j = 0; j < 8; j += 4) {
            const int k = first_filter + place.wide + (j < 4 ? 0 : 16);
            float4 v = make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
            if (bias) {
                const float4 b = four<ALIGNED>(bias + blockIdx.z * filters + k, filters - k);
                v = make_float4(v.x + b.x, v.y + b.y, v.z + b.z, v.w + b.w);
            }
            if (sizes.relu)                                                // written so that a NaN stays one
                v = make_float4(v.x < 0 ? 0 : v.x, v.y < 0 ? 0 : v.y, v.z < 0 ? 0 : v.z, v.w < 0 ? 0 : v.w);
            put<ALIGNED>(to + k, v, filters - k);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) convolve_wide(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<128, 128, false, true>(x, w, bias, y, sizes);
}
extern "C" __global__ void __launch_bounds__(64, 4) convolve_medium(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<64, 64, false, true>(x, w, bias, y, sizes);
}
extern "C" __global__ void __launch_bounds__(64, 4) convolve_medium_flat(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<64, 64, true, true>(x, w, bias, y, sizes);
}
extern "C" __global__ void __launch_bounds__(64, 4) convolve_narrow(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<128, 32, false, true>(x, w, bias, y, sizes);
}
extern "C" __global__ void __launch_bounds__(64, 4) convolve_narrow_flat(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<128, 32, true, true>(x, w, bias, y, sizes);
}
extern "C" __global__ void __launch_bounds__(64, 4) convolve_narrow_odd(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<128, 32, false, false>(x, w, bias, y, sizes);
}
extern "C" __global__ void __launch_bounds__(64, 4) convolve_narrow_flat_odd(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, float* __restrict__ y, Sizes sizes) {
    convolve<128, 32, true, false>(x, w, bias, y, sizes);
}

// ---- The gradient with respect to w --------------------------------------------------------------------------------
//
//     dw[tap, c, k]  =  sum over pixels of   x[pixel moved by tap, c] * dy[pixel, k]
//
// The same product with other roles: rows of the tile are the numbers (tap, c) of a filter, and the inner dimension is all
// pixels.  There are many of them and few tiles, so the pixels are shared out among `shares` blocks a tile, each of which
// writes a sum of its own.  The host adds them up: always in the same order, which atomicAdd would not.
//
// x (N, rows.source, columns.source, groups * inner)     dy (pixels, groups * filters)
// partial (shares, taps * inner, groups * filters)
//
// blockIdx.x: tile of (tap, c)     blockIdx.y: tile of filters     blockIdx.z: share * groups + group
// FLAT: inner is no multiple of 4, so that four neighbours may belong to two taps     ALIGNED: filters is a multiple of 4
template <int TALL, int WIDE, bool FLAT, bool ALIGNED>
__device__ void weigh(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial,
                      const Sizes& sizes, int groups, int share_pixels) {
    constexpr int THREADS = TALL * WIDE / 64;
    constexpr int PATCHES = TALL * 4 / THREADS, GRADIENTS = WIDE * 4 / THREADS;          // fours that a thread reads a slice
    __shared__ __align__(16) float patches[2][SLICE][TALL];
    __shared__ __align__(16) float gradients[2][SLICE][WIDE];
    const Axis &rows = sizes.rows, &columns = sizes.columns;
    const int inner = sizes.inner, filters = sizes.filters, numbers = rows.taps * columns.taps * inner;
    const int group = blockIdx.z % groups, share = blockIdx.z / groups;
    const int channels = groups * inner, all_filters = groups * filters;
    const int first_number = blockIdx.x * TALL, first_filter = blockIdx.y * WIDE;
    const int end = min(sizes.pixels, (share + 1) * share_pixels);
    x += group * inner;
    dy += group * filters;

    // The four numbers of a filter that this thread reads, for all pixels: where their taps lie, and their channels
    constexpr int OWN = FLAT ? 4 : 1;
    const int own = first_number + threadIdx.x % (TALL / 4) * 4;
    int down[OWN], right[OWN], channel[OWN];
#pragma unroll
    for (int j = 0; j < OWN; ++j) {
        const int tap = (own + j) / inner, r = tap / columns.taps;
        channel[j] = own + j - tap * inner;              // of a tap that is not there, too: nobody writes what comes of it
        down[j] = rows.start + r * rows.per_tap;
        right[j] = columns.start + (tap - r * columns.taps) * columns.per_tap;
    }
    float4 next_patches[PATCHES], next_gradients[GRADIENTS];
    auto read = [&](int first) {
#pragma unroll
        for (int i = 0; i < PATCHES; ++i) {
            const int pixel = first + threadIdx.x / (TALL / 4) + i * (THREADS / (TALL / 4));
            const int in_rows = pixel / columns.outputs, n = in_rows / rows.outputs;
            const int r = (in_rows - n * rows.outputs) * rows.step, c = (pixel - in_rows * columns.outputs) * columns.step;
            auto at = [&](int j) {                       // of x, or -1
                const int row = r + down[j], column = c + right[j];
                const bool inside = pixel < end && row >= 0 && row < rows.source && column >= 0 && column < columns.source;
                return inside ? ((n * rows.source + row) * columns.source + column) * channels + channel[j] : -1;
            };
            if (FLAT) {
                float value[4];
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    const int from = at(j % OWN);
                    value[j] = from < 0 ? 0.f : x[from];
                }
                next_patches[i] = make_float4(value[0], value[1], value[2], value[3]);
            } else {
                const int from = at(0);
                next_patches[i] = four<true>(x + from, from < 0 ? 0 : 4);
            }
        }
#pragma unroll
        for (int i = 0; i < GRADIENTS; ++i) {
            const int number = threadIdx.x + i * THREADS, pixel = first + number / (WIDE / 4);
            const int k = first_filter + number % (WIDE / 4) * 4;
            next_gradients[i] = four<ALIGNED>(dy + pixel * all_filters + k, pixel < end ? filters - k : 0);
        }
    };
    auto store = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < PATCHES; ++i) {
            const int number = threadIdx.x + i * THREADS;
            *reinterpret_cast<float4*>(&patches[buffer][number / (TALL / 4)][number % (TALL / 4) * 4]) = next_patches[i];
        }
#pragma unroll
        for (int i = 0; i < GRADIENTS; ++i) {
            const int number = threadIdx.x + i * THREADS;
            *reinterpret_cast<float4*>(&gradients[buffer][number / (WIDE / 4)][number % (WIDE / 4) * 4]) = next_gradients[i];
        }
    };

    const Place<WIDE> place;
    float sum[8][8] = {};
    int first = share * share_pixels, buffer = 0;
    read(first);
    store(0);
    for (; first < end; first += SLICE, buffer ^= 1) {
        __syncthreads();
        const bool more = first + SLICE < end;
        if (more)
            read(first + SLICE);
        multiply<TALL, WIDE, false>(patches[buffer], gradients[buffer], sum, place);
        if (more)
            store(buffer ^ 1);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int number = first_number + place.tall + (i < 4 ? i : i + 28);
        if (number >= numbers)
            continue;
        float* to = partial + (share * numbers + number) * all_filters + group * filters;
#pragma unroll
        for (int j = 0; j < 8; j += 4) {
            const int k = first_filter + place.wide + (j < 4 ? 0 : 16);
            put<ALIGNED>(to + k, make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]), filters - k);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) weigh_wide(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<128, 128, false, true>(x, dy, partial, sizes, groups, share);
}
extern "C" __global__ void __launch_bounds__(64, 4) weigh_medium(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<64, 64, false, true>(x, dy, partial, sizes, groups, share);
}
extern "C" __global__ void __launch_bounds__(64, 4) weigh_medium_flat(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<64, 64, true, true>(x, dy, partial, sizes, groups, share);
}
extern "C" __global__ void __launch_bounds__(64, 4) weigh_narrow(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<128, 32, false, true>(x, dy, partial, sizes, groups, share);
}
extern "C" __global__ void __launch_bounds__(64, 4) weigh_narrow_flat(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<128, 32, true, true>(x, dy, partial, sizes, groups, share);
}
extern "C" __global__ void __launch_bounds__(64, 4) weigh_narrow_odd(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<128, 32, false, false>(x, dy, partial, sizes, groups, share);
}
extern "C" __global__ void __launch_bounds__(64, 4) weigh_narrow_flat_odd(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, Sizes sizes, int groups, int share) {
    weigh<128, 32, true, false>(x, dy, partial, sizes, groups, share);
}
