// Batch norm.   Its mean, variance, output and gradient are those of a group norm: over_pixels.cu has them.

// The running statistics of a batch norm:   running <- running + momentum (batch - running), a thread a channel.
// The variance is the unbiased one, square / (count - 1).   Either array may be null.
extern "C" __global__ void move_running(float* running_mean, float* running_var, const float* mean, const float* square,
                                        int channels, float count_less_1, float momentum) {
    for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < channels; c += gridDim.x * blockDim.x) {
        if (running_mean)
            running_mean[c] += momentum * (mean[c] - running_mean[c]);
        if (running_var)
            running_var[c] += momentum * (square[c] / count_less_1 - running_var[c]);
    }
}
