// Resizing images.   x (N, H, W, C)  ->  y (N, H', W', C).   Which pixels an output pixel sees is worked out on the host, a
// small table for the rows and one for the columns; a thread for each number looks them up.  Neighbouring threads take
// neighbouring channels.
//
// Both tables run upwards, so the outputs that see one input pixel lie side by side: the gradient gathers over that range.
// Three rows copied to seven:
//
//     output           0 1 2 3 4 5 6       dx of row 1 is the sum of dy of rows 3 and 4:
//     rows[output]     0 0 0 1 1 2 2       from first_row[1] = 3 up to, without, first_row[2] = 5

struct Sizes { int images, rows, columns, new_rows, new_columns, channels; };
struct Place { int channel, column, row, image; };

// Number `at` of an array (images, rows, columns, channels)
__device__ Place place(int at, int rows, int columns, int channels) {
    const int pixel = at / channels;
    return {at % channels, pixel % columns, pixel / columns % rows, pixel / columns / rows};
}

// y[n, r, c] = x[n, rows[r], columns[c]]
extern "C" __global__ void copy_pixels(const float* x, const int* rows, const int* columns, float* y, Sizes sizes) {
    const int count = sizes.images * sizes.new_rows * sizes.new_columns * sizes.channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, sizes.new_rows, sizes.new_columns, sizes.channels);
        y[at] = x[((p.image * sizes.rows + rows[p.row]) * sizes.columns + columns[p.column]) * sizes.channels + p.channel];
    }
}

// dx: the sum of dy over the rectangle of outputs that copied this pixel: rows first_row[r] up to, without, first_row[r + 1]
extern "C" __global__ void copy_pixels_gradient(const float* dy, const int* first_row, const int* first_column, float* dx,
                                                Sizes sizes) {
    const int count = sizes.images * sizes.rows * sizes.columns * sizes.channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, sizes.rows, sizes.columns, sizes.channels);
        float sum = 0;
        for (int r = first_row[p.row]; r < first_row[p.row + 1]; ++r)
            for (int c = first_column[p.column]; c < first_column[p.column + 1]; ++c)
                sum += dy[((p.image * sizes.new_rows + r) * sizes.new_columns + c) * sizes.channels + p.channel];
        dx[at] = sum;
    }
}

// Output r lies between input rows lower[r] and the next one, a `fraction` of the way: the share that an input row has in it
__device__ float share(int row, int lower, float fraction, int rows) {
    return (row == lower ? 1 - fraction : 0) + (row == min(lower + 1, rows - 1) ? fraction : 0);
}

// y: the mean of the 2 x 2 pixels around each output's place, weighed by how near they are
extern "C" __global__ void mix_pixels(const float* x, const int* lower_row, const float* row_fraction,
                                      const int* lower_column, const float* column_fraction, float* y, Sizes sizes) {
    const int count = sizes.images * sizes.new_rows * sizes.new_columns * sizes.channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, sizes.new_rows, sizes.new_columns, sizes.channels);
        const int r = lower_row[p.row], c = lower_column[p.column];
        const int below = min(r + 1, sizes.rows - 1) - r, beside = min(c + 1, sizes.columns - 1) - c;
        const float down = row_fraction[p.row], right = column_fraction[p.column];
        const float* corner = x + ((p.image * sizes.rows + r) * sizes.columns + c) * sizes.channels + p.channel;
        const float* next = corner + below * sizes.columns * sizes.channels;
        y[at] = (1 - down) * ((1 - right) * corner[0] + right * corner[beside * sizes.channels])
              + down * ((1 - right) * next[0] + right * next[beside * sizes.channels]);
    }
}

// dx: of all outputs near enough, dy times the share that this pixel had.  Rows from first_row[r] up to, without, end_row[r]
extern "C" __global__ void mix_pixels_gradient(const float* dy, const int* lower_row, const float* row_fraction,
                                               const int* lower_column, const float* column_fraction, const int* first_row,
                                               const int* end_row, const int* first_column, const int* end_column, float* dx,
                                               Sizes sizes) {
    const int count = sizes.images * sizes.rows * sizes.columns * sizes.channels;
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const Place p = place(at, sizes.rows, sizes.columns, sizes.channels);
        float sum = 0;
        for (int r = first_row[p.row]; r < end_row[p.row]; ++r) {
            float of_row = 0;
            for (int c = first_column[p.column]; c < end_column[p.column]; ++c)
                of_row += share(p.column, lower_column[c], column_fraction[c], sizes.columns)
                        * dy[((p.image * sizes.new_rows + r) * sizes.new_columns + c) * sizes.channels + p.channel];
            sum += share(p.row, lower_row[r], row_fraction[r], sizes.rows) * of_row;
        }
        dx[at] = sum;
    }
}
