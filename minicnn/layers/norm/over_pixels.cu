// Batch, group and instance norm, which take their mean and variance over pixels.   x lies as (images, pixels, channels),
// channels side by side and pixels far apart.  The three are one:
//
//     a number of     |  mean and variance over        |  as a group norm
//     batch norm      |  a channel, all images         |  one image with the pixels of all, a channel a group
//     group norm      |  an image, a group of channels |  -
//     instance norm   |  an image, a channel           |  a channel a group
//
//     1. channel_moments       mean and squares of each channel of an image, of shares of its pixels
//     2. join_moments          of all its pixels
//     3. group_constants       of groups of channels; from them a scale for each channel
//     4. normalize             y = scale (x - mean) + bias
//     5. gradient_sums         of the upstream gradient, of shares of the pixels (the host adds up the shares)
//     6. gradient_constants    from them what 7 needs, for each channel
//     7. normalize_gradient    dx = scale dy - offset - slope (x - mean)
//
// 1, 4, 5 and 7 pass over x, and memory takes their time.  They go the same way.  A block takes a share of the pixels of an
// image and, where there are more than 256 channels, a tile of these.  A thread keeps its channel, whose constants stay in
// its registers, and walks down the pixels; so does its whole row of threads, side by side:
//
//     threadIdx.x      0 1 2 ...          channel of the tile
//     threadIdx.y  0   x x x x x x x x    pixel first,                first + blockDim.y, ...
//                  1   x x x x x x x x    pixel first + 1,            ...
//                  :   all this lies one after the other in memory, and is read in one go
//
// Sums meet in shared memory, and the shares in a second stage, always in the same order: atomicAdd would leave the order to
// chance, and a sum of floats depends on it.

struct Images { int pixels, channels, share, shares, tiles; };         // share: pixels of a share; tiles of the channels

struct Walk { int channel, row, base, first, end; };

// Where this thread walks: number  base + pixel * channels  of x for pixel = first + threadIdx.y, + blockDim.y, ... < end.
// row: which image and share, in one number.  Threads of the last tile that have no channel walk nowhere.
__device__ Walk own_walk(const Images& images) {
    const int row = blockIdx.x / images.tiles, image = row / images.shares, first = row % images.shares * images.share;
    const int channel = blockIdx.x % images.tiles * blockDim.x + threadIdx.x;
    const int end = channel < images.channels ? min(images.pixels, first + images.share) : first;
    return {channel, row, image * images.pixels * images.channels + channel, first, end};
}

__device__ int image_of(const Walk& walk, const Images& images) {
    return walk.row / images.shares;
}

struct Moments { float count, mean, square; };          // square: sum of squares around the mean
struct Sums { float plain, along; };

// Two parts of a sample as one (Chan, Golub and LeVeque 1983, equation 2.1)
__device__ Moments joined(Moments a, Moments b) {
    const float count = a.count + b.count, apart = b.mean - a.mean, share = count > 0 ? b.count / count : 0.f;
    return {count, a.mean + apart * share, a.square + b.square + apart * apart * a.count * share};
}

__device__ Sums joined(Sums a, Sums b) {
    return {a.plain + b.plain, a.along + b.along};
}

// What the threads of a column found, as one, in its first thread: the lower half of the rows comes to the upper half, ...
//
//     row  0   1   2   3   4          5 rows: 3 and 4 go to 0 and 1; then 2 to 0; then 1 to 0
//          0+3 1+4 2
//          0+2 1
//          0+1
template <typename T>
__device__ T joined_over_rows(T own) {
    __shared__ T parts[256];
    const int here = threadIdx.y * blockDim.x + threadIdx.x;
    parts[here] = own;
    for (int rows = blockDim.y; rows > 1;) {
        const int half = (rows + 1) / 2;
        __syncthreads();
        if (threadIdx.y + half < rows)
            parts[here] = joined(parts[here], parts[here + half * blockDim.x]);
        rows = half;
    }
    return parts[here];
}

// means, squares (images, shares, channels).   E[x^2] - E[x]^2 would lose the digits of a large mean: so each thread moves
// its mean along as it reads (Welford 1962).  And it measures all numbers from an origin among them, the channel's first in
// the image: around 10000 a mean can be told to .001 only, but differences from a number nearby are exact.  The means of
// several shares keep that origin until they are one.
extern "C" __global__ void __launch_bounds__(256) channel_moments(const float* x, float* means, float* squares,
                                                                  Images images) {
    const Walk walk = own_walk(images);
    const float origin = walk.channel < images.channels ? x[walk.base] : 0;
    Moments own = {0, 0, 0};
    for (int pixel = walk.first + threadIdx.y; pixel < walk.end; pixel += blockDim.y) {
        const float value = x[walk.base + pixel * images.channels] - origin, away = value - own.mean;
        own.count += 1;
        own.mean += away / own.count;
        own.square += away * (value - own.mean);
    }
    own = joined_over_rows(own);
    if (threadIdx.y == 0 && walk.channel < images.channels) {
        means[walk.row * images.channels + walk.channel] = images.shares > 1 ? own.mean : origin + own.mean;
        squares[walk.row * images.channels + walk.channel] = own.square;
    }
}

// The second stage: mean, square (images, channels) from means, squares (images, shares, channels).  The shares are now what
// the pixels were.  A share has `share` pixels, the last one what is left of `pixels`.
extern "C" __global__ void __launch_bounds__(256) join_moments(const float* x, const float* means, const float* squares,
                                                               float* mean, float* square, Images shares, int pixels,
                                                               int share) {
    const Walk walk = own_walk(shares);
    Moments own = {0, 0, 0};
    for (int i = walk.first + threadIdx.y; i < walk.end; i += blockDim.y) {
        const int at = walk.base + i * shares.channels;
        own = joined(own, {(float)min(share, pixels - i * share), means[at], squares[at]});
    }
    own = joined_over_rows(own);
    if (threadIdx.y == 0 && walk.channel < shares.channels) {
        const float origin = x[walk.row * pixels * shares.channels + walk.channel];
        mean[walk.row * shares.channels + walk.channel] = origin + own.mean;
        square[walk.row * shares.channels + walk.channel] = own.square;
    }
}

__device__ float sum_of_warp(float value) {             // in all 32 lanes
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

// Channels side by side in groups of `members`:   mean, square (sets, members) of `count` numbers each   ->
//     group_mean, the same for all members;   inverse = 1 / sqrt(variance + eps), likewise;   scale = weight inverse
// A set is a group of an image, and a warp takes it: lane 0 the members 0, 32, 64, ... and so on.
extern "C" __global__ void __launch_bounds__(256) group_constants(const float* mean, const float* square,
                                                                  const float* weight, float* group_mean, float* inverse,
                                                                  float* scale, int sets, int groups, int members,
                                                                  float count, float eps) {
    const int lane = threadIdx.x % 32;
    for (int set = (blockIdx.x * blockDim.x + threadIdx.x) / 32; set < sets; set += gridDim.x * blockDim.x / 32) {
        Moments own = {0, 0, 0};
        for (int i = lane; i < members; i += 32)
            own = joined(own, {count, mean[set * members + i], square[set * members + i]});
        for (int step = 16; step > 0; step /= 2)
            own = joined(own, {__shfl_down_sync(0xffffffffu, own.count, step), __shfl_down_sync(0xffffffffu, own.mean, step),
                               __shfl_down_sync(0xffffffffu, own.square, step)});
        const float middle = __shfl_sync(0xffffffffu, own.mean, 0), squares = __shfl_sync(0xffffffffu, own.square, 0);
        const float factor = 1 / sqrtf(squares / (count * members) + eps);
        for (int i = lane; i < members; i += 32) {
            group_mean[set * members + i] = middle;
            inverse[set * members + i] = factor;
            scale[set * members + i] = weight[set % groups * members + i] * factor;
        }
    }
}

// y = scale (x - mean) + bias;   scale and mean (images, channels), bias (channels).
// (scale x + (bias - scale mean) would be the same but for the digits that a large mean costs.)
extern "C" __global__ void __launch_bounds__(256) normalize(const float* x, const float* mean, const float* scale,
                                                            const float* bias, float* y, Images images) {
    const Walk walk = own_walk(images);
    if (walk.first == walk.end)
        return;
    const int constant = image_of(walk, images) * images.channels + walk.channel;
    const float middle = mean[constant], factor = scale[constant], offset = bias[walk.channel];
    for (int pixel = walk.first + threadIdx.y; pixel < walk.end; pixel += blockDim.y) {
        const int at = walk.base + pixel * images.channels;
        y[at] = factor * (x[at] - middle) + offset;
    }
}

// sums (2, images, shares, channels): of dy, and of dy (x - mean), of each share of the pixels
extern "C" __global__ void __launch_bounds__(256) gradient_sums(const float* x, const float* mean, const float* dy,
                                                                float* sums, Images images, int rows) {
    const Walk walk = own_walk(images);
    const float middle = walk.channel < images.channels ? mean[image_of(walk, images) * images.channels + walk.channel] : 0;
    Sums own = {0, 0};
    for (int pixel = walk.first + threadIdx.y; pixel < walk.end; pixel += blockDim.y) {
        const int at = walk.base + pixel * images.channels;
        own = joined(own, {dy[at], dy[at] * (x[at] - middle)});
    }
    own = joined_over_rows(own);
    if (threadIdx.y == 0 && walk.channel < images.channels) {
        sums[walk.row * images.channels + walk.channel] = own.plain;
        sums[(rows + walk.row) * images.channels + walk.channel] = own.along;
    }
}

// With g = dy weight, the gradient of x_hat = inverse (x - mean), and means over the `count` numbers of a group:
//
//     dx = inverse (g - mean(g) - x_hat mean(g x_hat))  =  scale dy - offset - slope (x - mean)
//     offset = inverse mean(g)        slope = inverse^3 mean(g (x - mean))
//
// plain, along (sets, members): the sums of dy and dy (x - mean).   A warp a set, as above
extern "C" __global__ void __launch_bounds__(256) gradient_constants(const float* plain, const float* along,
                                                                     const float* weight, const float* inverse,
                                                                     float* offset, float* slope, int sets, int groups,
                                                                     int members, float count) {
    const int lane = threadIdx.x % 32;
    for (int set = (blockIdx.x * blockDim.x + threadIdx.x) / 32; set < sets; set += gridDim.x * blockDim.x / 32) {
        float g = 0, g_along = 0;
        for (int i = lane; i < members; i += 32) {
            g += weight[set % groups * members + i] * plain[set * members + i];
            g_along += weight[set % groups * members + i] * along[set * members + i];
        }
        g = sum_of_warp(g);
        g_along = sum_of_warp(g_along);
        for (int i = lane; i < members; i += 32) {
            const float factor = inverse[set * members + i];
            offset[set * members + i] = factor * g / count;
            slope[set * members + i] = factor * factor * factor * g_along / count;
        }
    }
}

// dx = scale dy - offset - slope (x - mean), each of them (images, channels)
extern "C" __global__ void __launch_bounds__(256) normalize_gradient(const float* x, const float* dy, const float* mean,
                                                                     const float* scale, const float* offset,
                                                                     const float* slope, float* dx, Images images) {
    const Walk walk = own_walk(images);
    if (walk.first == walk.end)
        return;
    const int constant = image_of(walk, images) * images.channels + walk.channel;
    const float middle = mean[constant], factor = scale[constant], less = offset[constant], along = slope[constant];
    for (int pixel = walk.first + threadIdx.y; pixel < walk.end; pixel += blockDim.y) {
        const int at = walk.base + pixel * images.channels;
        dx[at] = factor * dy[at] - less - along * (x[at] - middle);
    }
}
