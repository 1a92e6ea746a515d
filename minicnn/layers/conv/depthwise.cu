// Depthwise convolution: each channel has a filter of its own.
//
//     y[n, r, c, channel]  =  bias[channel] + sum over tap (i, j) of  x[n, r*stride + i*dilation - padding, ..., channel]
//                                                                     * w[i, j, channel]
//
// There is no reuse to be had but in the cache: each number of x meets kh * kw numbers of w, and that is all.  So every
// thread makes one number of the result by itself.  Neighbouring threads take neighbouring channels, which lie side by side:
// a warp reads 32 numbers in a row, for x as for w.

struct Axis { int source, outputs, stride, padding, dilation, taps; };
struct Sizes { Axis rows, columns; int images, channels, relu; };

// A thread for each number of y.   x (N, H, W, C), w (kh, kw, C), y (N, OH, OW, C)
extern "C" __global__ void depthwise(const float* x, const float* w, const float* bias, float* y, Sizes sizes) {
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, count = sizes.images * rows.outputs * columns.outputs * channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int channel = at % channels, pixel = at / channels;
        const int c = pixel % columns.outputs, r = pixel / columns.outputs % rows.outputs;
        const int n = pixel / columns.outputs / rows.outputs;
        float sum = bias ? bias[channel] : 0.f;
        for (int i = 0; i < rows.taps; ++i) {
            const int row = r * rows.stride + i * rows.dilation - rows.padding;
            if (row < 0 || row >= rows.source)
                continue;
            for (int j = 0; j < columns.taps; ++j) {
                const int column = c * columns.stride + j * columns.dilation - columns.padding;
                if (column >= 0 && column < columns.source)
                    sum += x[((n * rows.source + row) * columns.source + column) * channels + channel]
                         * w[(i * columns.taps + j) * channels + channel];
            }
        }
        y[at] = sizes.relu && sum < 0 ? 0.f : sum;
    }
}

// A thread for each number of dx: it looks for the outputs that saw it.  Pixel p met output o at tap i if
//     o * stride + i * dilation - padding = p,    so   o = (p + padding - i * dilation) / stride   where that is whole.
extern "C" __global__ void depthwise_input_gradient(const float* dy, const float* w, float* dx, Sizes sizes) {
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, count = sizes.images * rows.source * columns.source * channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int channel = at % channels, pixel = at / channels;
        const int c = pixel % columns.source, r = pixel / columns.source % rows.source;
        const int n = pixel / columns.source / rows.source;
        float sum = 0;
        for (int i = 0; i < rows.taps; ++i) {
            const int down = r + rows.padding - i * rows.dilation, row = down / rows.stride;
            if (down < 0 || down % rows.stride || row >= rows.outputs)
                continue;
            for (int j = 0; j < columns.taps; ++j) {
                const int right = c + columns.padding - j * columns.dilation, column = right / columns.stride;
                if (right >= 0 && right % columns.stride == 0 && column < columns.outputs)
                    sum += dy[((n * rows.outputs + row) * columns.outputs + column) * channels + channel]
                         * w[(i * columns.taps + j) * channels + channel];
            }
        }
        dx[at] = sum;
    }
}

// dw[i, j, channel] = sum over pixels of x * dy.  A block takes one tap, 32 channels and a share of the pixels:
//
//     threadIdx.x  0 1 2 ... 31    channels, side by side in memory: a warp reads them in one go
//     threadIdx.y  0               pixels share + 0, + 8, + 16, ...
//                  :
//                  7               pixels share + 7, + 15, ...
//
// Each thread adds up its own pixels; then thread row 0 adds the eight rows, which met in shared memory.  The shares are
// added by the host, always in the same order.   partial (shares, taps, C)
//
// blockIdx.x: 32 channels     blockIdx.y: tap     blockIdx.z: share
extern "C" __global__ void __launch_bounds__(256) depthwise_weight_gradient(const float* x, const float* dy, float* partial,
                                                                            Sizes sizes, int share) {
    __shared__ float sums[8][32];
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, channel = blockIdx.x * 32 + threadIdx.x;
    const int i = blockIdx.y / columns.taps, j = blockIdx.y % columns.taps;
    const int pixels = sizes.images * rows.outputs * columns.outputs, end = min(pixels, (int)(blockIdx.z + 1) * share);
    float sum = 0;
    for (int pixel = blockIdx.z * share + threadIdx.y; pixel < end && channel < channels; pixel += 8) {
        const int c = pixel % columns.outputs, r = pixel / columns.outputs % rows.outputs;
        const int n = pixel / columns.outputs / rows.outputs;
        const int row = r * rows.stride + i * rows.dilation - rows.padding;
        const int column = c * columns.stride + j * columns.dilation - columns.padding;
        if (row >= 0 && row < rows.source && column >= 0 && column < columns.source)
            sum += x[((n * rows.source + row) * columns.source + column) * channels + channel] * dy[pixel * channels + channel];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int other = 1; other < 8; ++other)
            sum += sums[other][threadIdx.x];
        partial[(blockIdx.z * gridDim.y + blockIdx.y) * channels + channel] = sum;
    }
}
