// Layer norm.   x (rows, channels): each row has its own mean and variance, and lies in one piece.  Short rows take a warp
// each, eight in a block of 32 x 8 threads; long ones all 256 threads of a block of 256 x 1.  Threads read neighbouring
// channels:
//
//     threadIdx.x     0 1 2 ... 31 | 0 1 2 ...        channels of the row of threadIdx.y

__device__ float sum_of_warp(float value) {             // in all 32 lanes
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

// The sum over the threads of a row, in each of them: warps add by shuffles, and several meet in shared memory
__device__ float sum_of_row(float value) {
    value = sum_of_warp(value);
    if (blockDim.x == 32)
        return value;
    __shared__ float warps[8];
    __syncthreads();                                    // everybody has read the last sum
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    for (int warp = 0; warp < 8; ++warp)
        sum += warps[warp];
    return sum;
}

// y = weight x_hat + bias,   x_hat = (x - mean) inverse;   means and inverses (rows) are kept for the gradient
extern "C" __global__ void __launch_bounds__(256) layer_norm(const float* x, const float* weight, const float* bias,
                                                             float* y, float* means, float* inverses, int rows,
                                                             int channels, float eps) {
    for (int row = blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += gridDim.x * blockDim.y) {
        const int base = row * channels;
        float sum = 0, square = 0;
        for (int c = threadIdx.x; c < channels; c += blockDim.x)
            sum += x[base + c];
        const float mean = sum_of_row(sum) / channels;
        for (int c = threadIdx.x; c < channels; c += blockDim.x)
            square += (x[base + c] - mean) * (x[base + c] - mean);
        const float inverse = 1 / sqrtf(sum_of_row(square) / channels + eps);
        for (int c = threadIdx.x; c < channels; c += blockDim.x)
            y[base + c] = weight[c] * ((x[base + c] - mean) * inverse) + bias[c];
        if (threadIdx.x == 0) {
            means[row] = mean;
            inverses[row] = inverse;
        }
    }
}

// dx = (g - mean(g) - x_hat mean(g x_hat)) inverse,   g = dy weight
extern "C" __global__ void __launch_bounds__(256) layer_norm_gradient(const float* x, const float* dy, const float* weight,
                                                                      const float* means, const float* inverses, float* dx,
                                                                      int rows, int channels) {
    for (int row = blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += gridDim.x * blockDim.y) {
        const int base = row * channels;
        const float mean = means[row], inverse = inverses[row];
        float sum = 0, along = 0;
        for (int c = threadIdx.x; c < channels; c += blockDim.x) {
            const float g = dy[base + c] * weight[c];
            sum += g;
            along += g * ((x[base + c] - mean) * inverse);
        }
        sum = sum_of_row(sum) / channels;
        along = sum_of_row(along) / channels;
        for (int c = threadIdx.x; c < channels; c += blockDim.x)
            dx[base + c] = (dy[base + c] * weight[c] - sum - (x[base + c] - mean) * inverse * along) * inverse;
    }
}
