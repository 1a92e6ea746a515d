// Steps of the optimizers.  A step is little arithmetic on many numbers, so its time is that of reading and writing them.
// Written as NumPy lines, each line travels through the arrays once more; here each number is read once and written once,
// by a thread of its own (or, in very large arrays, every so-many-th by the same thread: the grid-stride loop).

// Adam:   m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2      w <- shrink w - step m / (sqrt(v) + eps)
// where g has decay w added.  Adam has shrink = 1, AdamW decay = 0; step and eps hold the corrections: see adam.py.
extern "C" __global__ void adam(float* weight, float* mean, float* square, const float* gradient, int count, float b1,
                                float b2, float step, float eps, float decay, float shrink) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const float g = gradient[i] + decay * weight[i];
        const float m = b1 * mean[i] + (1 - b1) * g;
        const float v = b2 * square[i] + (1 - b2) * g * g;
        mean[i] = m;
        square[i] = v;
        weight[i] = shrink * weight[i] - step * (m / (sqrtf(v) + eps));
    }
}

// Gradient descent:   v <- momentum v + g      w <- w - lr v,  or Nesterov's  w - lr (g + momentum v)
// where g has decay w added.  velocity is null without a momentum: then  w <- w - lr g.
extern "C" __global__ void sgd(float* weight, float* velocity, const float* gradient, int count, float lr, float momentum,
                               bool nesterov, float decay) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const float g = gradient[i] + decay * weight[i];
        float move = g;
        if (velocity) {
            const float v = momentum * velocity[i] + g;
            velocity[i] = v;
            move = nesterov ? g + momentum * v : v;
        }
        weight[i] -= lr * move;
    }
}

// A running average:   average <- average + share (weight - average)
extern "C" __global__ void approach(float* average, const float* weight, int count, float share) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        average[i] += share * (weight[i] - average[i]);
}
