// Steps of the optimizers.  A step is little arithmetic on many numbers, so its time is that of reading and writing them.
// Written as NumPy lines, each line travels through the arrays once more; here each number is read once and written once.
// Weight, gradient and state of one number meet in one thread, neighbours beside it:
//
//     thread         0  1  2  3 ...        reads  weight[i]  mean[i]  square[i]  gradient[i]
//     number i       0  1  2  3 ...        writes weight[i]  mean[i]  square[i]
//
// In arrays with more numbers than threads, a thread goes on with number i + all threads (a grid-stride loop), so that
// neighbours stay neighbours.

// Adam:   m <- b1 m + less1 g      v <- b2 v + less2 g^2      w <- shrink w - step m / (sqrt(v) + eps)
// where g has decay w added.  less1 = 1 - b1 and less2 = 1 - b2 come from the host: 1 - .999f is .0009999871.
// Adam has shrink = 1, AdamW decay = 0; step and eps hold the corrections: see adam.py.
extern "C" __global__ void adam(float* weight, float* mean, float* square, const float* gradient, int count, float b1,
                                float less1, float b2, float less2, float step, float eps, float decay, float shrink) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const float g = gradient[i] + decay * weight[i];
        const float m = b1 * mean[i] + less1 * g;
        const float v = b2 * square[i] + less2 * (g * g);
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
