// Normalisation.   x lies as (pixels, channels): channels side by side, all images and their pixels one after the other.
//
// Sums over all pixels of a channel are made in two stages.  A block of 32 x 8 threads takes 32 channels and a share of the
// pixels; it walks down its share, a warp reading 32 numbers side by side:
//
//     threadIdx.x    0 1 2 ... 31   channels
//     threadIdx.y    0              pixels  first + 0, + 8, + 16, ...
//                    :
//                    7              pixels  first + 7, + 15, ...
//
// Then the eight rows of threads meet in shared memory, and the host joins the shares, in their order: no atomicAdd, whose
// order is left to chance, and so the same numbers each time.

constexpr int LANES = 8;

struct Moments { float count, mean, square; };          // square: sum of squares around the mean

// Two parts of a sample as one (Chan, Golub and LeVeque 1983, equation 2.1)
__device__ Moments joined(Moments a, Moments b) {
    const float count = a.count + b.count, apart = b.mean - a.mean, share = count > 0 ? b.count / count : 0.f;
    return {count, a.mean + apart * share, a.square + b.square + apart * apart * a.count * share};
}

// means, squares (shares, channels) of each share of the pixels.   blockIdx.x: 32 channels   blockIdx.y: share
// E[x^2] - E[x]^2 would lose the digits of a large mean: so each thread moves its mean along as it reads (Welford 1962).
extern "C" __global__ void __launch_bounds__(256) channel_moments(const float* x, float* means, float* squares, int pixels,
                                                                  int channels, int share) {
    __shared__ Moments lanes[LANES][32];
    const int channel = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * share, end = min(pixels, first + share);
    Moments own = {0, 0, 0};
    for (int pixel = first + threadIdx.y; pixel < end && channel < channels; pixel += LANES) {
        const float value = x[pixel * channels + channel], away = value - own.mean;
        own.count += 1;
        own.mean += away / own.count;
        own.square += away * (value - own.mean);
    }
    lanes[threadIdx.y][threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int lane = 1; lane < LANES; ++lane)
            own = joined(own, lanes[lane][threadIdx.x]);
        means[blockIdx.y * channels + channel] = own.mean;
        squares[blockIdx.y * channels + channel] = own.square;
    }
}

// Of each share the sums of dy and of dy (x - mean):   sums (2, shares, channels).   Blocks as above
extern "C" __global__ void __launch_bounds__(256) gradient_sums(const float* x, const float* mean, const float* dy, float* sums,
                                                                int pixels, int channels, int share) {
    __shared__ float plain[LANES][32], along[LANES][32];
    const int channel = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * share, end = min(pixels, first + share);
    float sum = 0, products = 0;
    for (int pixel = first + threadIdx.y; pixel < end && channel < channels; pixel += LANES) {
        const int at = pixel * channels + channel;
        sum += dy[at];
        products += dy[at] * (x[at] - mean[channel]);
    }
    plain[threadIdx.y][threadIdx.x] = sum;
    along[threadIdx.y][threadIdx.x] = products;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int lane = 1; lane < LANES; ++lane) {
            sum += plain[lane][threadIdx.x];
            products += along[lane][threadIdx.x];
        }
        sums[blockIdx.y * channels + channel] = sum;
        sums[(gridDim.y + blockIdx.y) * channels + channel] = products;
    }
}

// y = scale x + offset, both a number a channel: a thread for each number.
extern "C" __global__ void scale_and_shift(const float* x, const float* scale, const float* offset, float* y, int count,
                                           int channels) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x)
        y[at] = x[at] * scale[at % channels] + offset[at % channels];
}

// dx = scale (dy - offset - slope (x - mean)), with a number a channel for each: see _by_batch in normalize.py.
extern "C" __global__ void batch_norm_gradient(const float* x, const float* dy, const float* mean, const float* scale,
                                               const float* offset, const float* slope, float* dx, int count, int channels) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int c = at % channels;
        dx[at] = scale[c] * (dy[at] - offset[c] - slope[c] * (x[at] - mean[c]));
    }
}

// ---- Groups of channels, and layers --------------------------------------------------------------------------------
//
// x (outer, pixels, groups, members): each set, that is each outer index and group, has a mean and a variance of its own.
// A group norm has outer = images; a layer norm has one group, and each pixel is an outer index.  A block takes a set: its
// threads pass over the set's pixels * members numbers, neighbours over neighbouring members.

struct Sets { int outer, pixels, groups, members; };

__device__ int number_of_set(const Sets& sets, int set, int i) {
    const int outer = set / sets.groups, group = set % sets.groups, pixel = i / sets.members, member = i % sets.members;
    return ((outer * sets.pixels + pixel) * sets.groups + group) * sets.members + member;
}

// The sum over all 256 threads of a block, in each of them.  Warps add by shuffles, and meet in shared memory.
__device__ float sum_of_block(float value) {
    __shared__ float warps[8];
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    __syncthreads();                                    // the last sum has been read by everybody
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    for (int warp = 0; warp < 8; ++warp)
        sum += warps[warp];
    return sum;
}

// y = weight x_hat + bias,   x_hat = (x - mean) inverse;   means and inverses (outer * groups) are kept for the gradient
extern "C" __global__ void __launch_bounds__(256) normalize_sets(const float* x, const float* weight, const float* bias,
                                                                 float* y, float* means, float* inverses, Sets sets,
                                                                 float eps) {
    const int count = sets.pixels * sets.members;
    for (int set = blockIdx.x; set < sets.outer * sets.groups; set += gridDim.x) {
        float sum = 0, square = 0;
        for (int i = threadIdx.x; i < count; i += 256)
            sum += x[number_of_set(sets, set, i)];
        const float mean = sum_of_block(sum) / count;
        for (int i = threadIdx.x; i < count; i += 256) {
            const float away = x[number_of_set(sets, set, i)] - mean;
            square += away * away;
        }
        const float inverse = 1 / sqrtf(sum_of_block(square) / count + eps);
        for (int i = threadIdx.x; i < count; i += 256) {
            const int at = number_of_set(sets, set, i), channel = at % (sets.groups * sets.members);
            y[at] = weight[channel] * ((x[at] - mean) * inverse) + bias[channel];
        }
        if (threadIdx.x == 0) {
            means[set] = mean;
            inverses[set] = inverse;
        }
    }
}

// dx = (g - mean(g) - x_hat mean(g x_hat)) inverse,   g = dy weight: see _scaled in normalize.py
extern "C" __global__ void __launch_bounds__(256) normalize_sets_gradient(const float* x, const float* dy, const float* weight,
                                                                          const float* means, const float* inverses, float* dx,
                                                                          Sets sets) {
    const int count = sets.pixels * sets.members, channels = sets.groups * sets.members;
    for (int set = blockIdx.x; set < sets.outer * sets.groups; set += gridDim.x) {
        const float mean = means[set], inverse = inverses[set];
        float sum = 0, along = 0;
        for (int i = threadIdx.x; i < count; i += 256) {
            const int at = number_of_set(sets, set, i);
            const float g = dy[at] * weight[at % channels];
            sum += g;
            along += g * ((x[at] - mean) * inverse);
        }
        sum = sum_of_block(sum) / count;
        along = sum_of_block(along) / count;
        for (int i = threadIdx.x; i < count; i += 256) {
            const int at = number_of_set(sets, set, i);
            dx[at] = (dy[at] * weight[at % channels] - sum - (x[at] - mean) * inverse * along) * inverse;
        }
    }
}

// ---- Local response norm -------------------------------------------------------------------------------------------

// energy[c] = k + alpha/size * sum of x[j]^2 over j = c - size/2 ... c + (size - 1)/2;   y[c] = x[c] energy[c]^-beta
extern "C" __global__ void response_norm(const float* x, float* y, float* energy, int count, int channels, int size,
                                         float alpha, float beta, float k) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int c = at % channels, first = max(0, c - size / 2), last = min(channels - 1, c + (size - 1) / 2);
        float sum = 0;
        for (int j = first; j <= last; ++j)
            sum += x[at - c + j] * x[at - c + j];
        energy[at] = k + alpha / size * sum;
        y[at] = x[at] * powf(energy[at], -beta);
    }
}

// dx[c] = dy[c] energy[c]^-beta - x[c] 2 alpha beta / size * sum of dy[j] x[j] energy[j]^(-beta - 1) over the j whose window
// holds c:   j = c - (size - 1)/2 ... c + size/2
extern "C" __global__ void response_norm_gradient(const float* x, const float* dy, const float* energy, float* dx, int count,
                                                  int channels, int size, float alpha, float beta) {
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += gridDim.x * blockDim.x) {
        const int c = at % channels, first = max(0, c - (size - 1) / 2), last = min(channels - 1, c + size / 2);
        float through = 0;
        for (int i = at - c + first; i <= at - c + last; ++i)
            through += dy[i] * x[i] * powf(energy[i], -beta - 1);
        dx[at] = dy[at] * powf(energy[at], -beta) - x[at] * through * (2 * alpha * beta / size);
    }
}
