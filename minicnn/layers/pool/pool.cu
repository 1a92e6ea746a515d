// Pooling.   x (N, H, W, C)  ->  y (N, OH, OW, C):  the maximum, or the mean, of each window, channel by channel.
//
// Neighbouring threads take neighbouring channels, which lie side by side: a warp reads 32 numbers in a row, and each of
// the window's pixels so.  There is nothing to share between threads: what two windows have in common is in the cache.
//
//     x   . . . . .        window r, c begins at row  r * stride - padding,  and its tap (i, j) lies  i * dilation  rows
//         . o o . .        further down and  j * dilation  columns further right.  What lies outside the image is skipped.
//         . o o . .
//
// The gradients are gathered: a thread for each pixel of x asks all windows that saw it, in a fixed order, what they give
// it.  (Windows that hand out to pixels would meet in overlapping ones, and need atomicAdd, whose order is left to chance.)
// Windows of three with stride two, along one axis:
//
//     pixels     0 1 2 3 4 5 6      pixel 4 is tap 2 of window 1, as 4 - 2 = 1 * stride, and tap 0 of window 2; it is tap
//     window 0   0 1 2              1 of no window, as 4 - 1 is no multiple of the stride.
//     window 1       0 1 2
//     window 2           0 1 2

struct Axis { int source, outputs, stride, padding, dilation, taps; };
struct Sizes { Axis rows, columns; int images, channels; };

struct Place { int channel, column, row, image; };

// Number `at` of an array (images, rows, columns, channels)
__device__ Place place(int at, int rows, int columns, int channels) {
    const int pixel = at / channels;
    return {at % channels, pixel % columns, pixel / columns % rows, pixel / columns / rows};
}

// y[n, r, c] = max over taps (i, j) of x[n, r stride + i dilation - padding, c stride + j dilation - padding]
// A thread makes a y.  The first tap that is the maximum goes to first[...], unless that is null: its number is what the
// gradient needs.  A NaN is the maximum of every window that it lies in, and then the last tap gets the gradient, wherever
// the NaN is: as in NumPy's twin, where nothing equals a NaN.
extern "C" __global__ void max_pool(const float* x, float* y, int* first, Sizes sizes) {
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, count = sizes.images * rows.outputs * columns.outputs * channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, rows.outputs, columns.outputs, channels);
        float maximum = -__int_as_float(0x7f800000);                   // minus infinity, what the padding counts as
        int which = 0;
        for (int i = 0; i < rows.taps; ++i) {
            const int row = p.row * rows.stride + i * rows.dilation - rows.padding;
            for (int j = 0; j < columns.taps; ++j) {
                const int column = p.column * columns.stride + j * columns.dilation - columns.padding;
                if (row < 0 || row >= rows.source || column < 0 || column >= columns.source)
                    continue;
                const float value = x[((p.image * rows.source + row) * columns.source + column) * channels + p.channel];
                if (value > maximum) {
                    maximum = value;
                    which = i * columns.taps + j;
                }
                if (value != value) {                                  // only a NaN does not equal itself
                    maximum = value;
                    which = rows.taps * columns.taps - 1;
                }
            }
        }
        y[at] = maximum;
        if (first)
            first[at] = which;
    }
}

// dx: of every window that saw this pixel through tap (i, j), dy if that tap was the first maximum.   A thread a dx.
extern "C" __global__ void max_pool_gradient(const float* dy, const int* first, float* dx, Sizes sizes) {
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, count = sizes.images * rows.source * columns.source * channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, rows.source, columns.source, channels);
        float sum = 0;
        for (int i = 0; i < rows.taps; ++i) {
            const int down = p.row + rows.padding - i * rows.dilation, row = down / rows.stride;
            if (down < 0 || down % rows.stride || row >= rows.outputs)
                continue;
            for (int j = 0; j < columns.taps; ++j) {
                const int right = p.column + columns.padding - j * columns.dilation, column = right / columns.stride;
                if (right < 0 || right % columns.stride || column >= columns.outputs)
                    continue;
                const int window = ((p.image * rows.outputs + row) * columns.outputs + column) * channels + p.channel;
                if (first[window] == i * columns.taps + j)
                    sum += dy[window];
            }
        }
        dx[at] = sum;
    }
}

// y = part * sum of the window, a thread a y.   part (OH, OW): one over the number of pixels that count in each window
extern "C" __global__ void average_pool(const float* x, const float* part, float* y, Sizes sizes) {
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, count = sizes.images * rows.outputs * columns.outputs * channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, rows.outputs, columns.outputs, channels);
        float sum = 0;
        for (int i = 0; i < rows.taps; ++i) {
            const int row = p.row * rows.stride + i * rows.dilation - rows.padding;
            for (int j = 0; j < columns.taps; ++j) {
                const int column = p.column * columns.stride + j * columns.dilation - columns.padding;
                if (row >= 0 && row < rows.source && column >= 0 && column < columns.source)
                    sum += x[((p.image * rows.source + row) * columns.source + column) * channels + p.channel];
            }
        }
        y[at] = sum * part[p.row * columns.outputs + p.column];
    }
}

// dx: of every window that saw this pixel its part of dy.   A thread a dx.
extern "C" __global__ void average_pool_gradient(const float* dy, const float* part, float* dx, Sizes sizes) {
    const Axis rows = sizes.rows, columns = sizes.columns;
    const int channels = sizes.channels, count = sizes.images * rows.source * columns.source * channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, rows.source, columns.source, channels);
        float sum = 0;
        for (int i = 0; i < rows.taps; ++i) {
            const int down = p.row + rows.padding - i * rows.dilation, row = down / rows.stride;
            if (down < 0 || down % rows.stride || row >= rows.outputs)
                continue;
            for (int j = 0; j < columns.taps; ++j) {
                const int right = p.column + columns.padding - j * columns.dilation, column = right / columns.stride;
                if (right >= 0 && right % columns.stride == 0 && column < columns.outputs)
                    sum += dy[((p.image * rows.outputs + row) * columns.outputs + column) * channels + p.channel]
                         * part[row * columns.outputs + column];
            }
        }
        dx[at] = sum;
    }
}
