// Cross-entropy of softmax, and its gradient, in one go.   logits (N, classes)
//
//     loss[n] = - sum over k of  t[k] log p[k]      p = softmax(logits[n]),  log p[k] = z[k] - max - log sum exp(z - max)
//     gradient[n, k] = p[k] sum(t) - t[k]
//
// t is the target (1 - smoothing) times what the labels say, plus smoothing / classes: of class labels a one at the class,
// of probabilities (N, classes) these.
//
// A warp takes a row: its 32 lanes read 32 neighbouring logits at a time, and pass through the row three times (it lies in
// the cache by then): for the maximum, for the two sums, and to write.  Lanes add up by shuffles: in step 16 each lane gets
// the number of the lane 16 further, then 8, 4, 2, 1, and all of them hold the sum.
//
//     lane   0 1 2 ... 31 | 0 1 2 ...       logits of a row

__device__ float sum_of_warp(float value) {
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

__device__ float maximum_of_warp(float value) {
    for (int step = 16; step > 0; step /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
    return value;
}

// labels: the class of each row, or null; then probabilities (N, classes).   gradient: or null, where nobody wants one
extern "C" __global__ void cross_entropy(const float* logits, const int* labels, const float* probabilities, float* loss,
                                         float* gradient, int rows, int classes, float smoothing) {
    const int lane = threadIdx.x % 32, warps = gridDim.x * blockDim.x / 32;
    for (int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32; row < rows; row += warps) {
        const float* z = logits + row * classes;
        auto target = [&](int k) {
            const float said = labels ? (k == labels[row] ? 1.f : 0.f) : probabilities[row * classes + k];
            return (1 - smoothing) * said + smoothing / classes;
        };
        float maximum = z[0];
        for (int k = lane; k < classes; k += 32)
            maximum = fmaxf(maximum, z[k]);
        maximum = maximum_of_warp(maximum);
        float sum = 0, targets = 0, along = 0;                         // of exp(z - max), of t, and of t (z - max)
        for (int k = lane; k < classes; k += 32) {
            sum += expf(z[k] - maximum);
            targets += target(k);
            along += target(k) * (z[k] - maximum);
        }
        sum = sum_of_warp(sum);
        targets = sum_of_warp(targets);
        along = sum_of_warp(along);
        for (int k = lane; k < classes && gradient; k += 32)
            gradient[row * classes + k] = expf(z[k] - maximum) / sum * targets - target(k);
        if (lane == 0)
            loss[row] = targets * logf(sum) - along;
    }
}
