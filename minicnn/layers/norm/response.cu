// Local response norm.   A thread for each number, neighbours for neighbouring channels.  It looks at the `size` channels of
// its window itself: they are what the threads beside it read, too, so they come from the cache.
//
//     size 5:    . . [x x X x x] . .         X: the thread's own channel c

// energy[c] = k + alpha/size * sum of x[j]^2 over j = c - size/2 ... c + (size - 1)/2;   y[c] = x[c] energy[c]^-beta
extern "C" __global__ void response_norm(const float* x, float* y, float* energy, int count, int channels, int size,
                                         float alpha, float beta, float k) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int c = at % channels, first = max(0, c - size / 2), last = min(channels - 1, c + (size - 1) / 2);
        float sum = 0;
        for (int i = at - c + first; i <= at - c + last; ++i)
            sum += x[i] * x[i];
        energy[at] = k + alpha / size * sum;
        y[at] = x[at] * powf(energy[at], -beta);
    }
}

// dx[c] = dy[c] energy[c]^-beta - x[c] 2 alpha beta / size * sum of dy[j] y[j] / energy[j] over the j whose window holds c:
// j = c - (size - 1)/2 ... c + size/2, the window turned round
extern "C" __global__ void response_norm_gradient(const float* x, const float* dy, const float* y, const float* energy,
                                                  float* dx, int count, int channels, int size, float alpha, float beta) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int c = at % channels, first = max(0, c - (size - 1) / 2), last = min(channels - 1, c + size / 2);
        float through = 0;
        for (int i = at - c + first; i <= at - c + last; ++i)
            through += dy[i] * y[i] / energy[i];
        dx[at] = dy[at] * powf(energy[at], -beta) - x[at] * through * (2 * alpha * beta / size);
    }
}
