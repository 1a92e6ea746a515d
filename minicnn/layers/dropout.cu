// Random words by Philox4x32-10, and dropout with them.  Word i of a stream is word i % 4 of block offset + i / 4, as in
// dropout.py: the same mask, bit for bit, on every machine.  Nothing is stored but the place in the stream: the gradient
// makes the mask anew, which takes less time than to read it.

struct Words { unsigned at[4]; };

// Block `number` under the key `seed`: a counter of 128 bits is scrambled in ten rounds (Salmon et al. 2011, section 3.3)
__device__ Words philox(unsigned long long number, unsigned long long seed) {
    unsigned c0 = (unsigned)number, c1 = (unsigned)(number >> 32), c2 = 0, c3 = 0;
    unsigned key0 = (unsigned)seed, key1 = (unsigned)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
        const unsigned low2 = 0xCD9E8D57u * c2, high2 = __umulhi(0xCD9E8D57u, c2);
        c0 = high2 ^ c1 ^ key0;
        c2 = high0 ^ c3 ^ key1;
        c1 = low2;
        c3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// A thread for each block of four words: word i of the stream goes to words[i].
extern "C" __global__ void random_words(unsigned* words, int count, unsigned long long seed, unsigned long long offset) {
    const int blocks = count / 4 + (count % 4 > 0);
    for (int block = blockIdx.x * blockDim.x + threadIdx.x; block < blocks; block += gridDim.x * blockDim.x) {
        const Words random = philox(offset + block, seed);
        for (int i = 0; i < 4; ++i)
            if (4 * block + i < count)
                words[4 * block + i] = random.at[i];
    }
}

// y[i] = x[i] * scale where word i is at least `least`, else 0.  A thread for each block of four words, and so for four
// neighbouring numbers; a warp's numbers lie side by side.  For the gradient x is dy, and y is dx.
extern "C" __global__ void dropout(const float* x, float* y, int count, unsigned long long seed, unsigned long long offset,
                                   unsigned least, float scale) {
    const int blocks = count / 4 + (count % 4 > 0);
    for (int block = blockIdx.x * blockDim.x + threadIdx.x; block < blocks; block += gridDim.x * blockDim.x) {
        const Words random = philox(offset + block, seed);
        for (int i = 0; i < 4; ++i)
            if (4 * block + i < count)
                y[4 * block + i] = random.at[i] >= least ? x[4 * block + i] * scale : 0.f;
    }
}

// The same for whole channels:   x (images, pixels, channels),   and word  n * channels + c  decides on channel c of image
// n, at all its pixels.
//
//     block of words         0               1                    here 3 channels: a block may reach into the next image
//     word               0  1  2  3      4  5  6  7
//     image, channel    0,0 0,1 0,2 1,0  1,1 1,2 2,0 2,1
//
// A thread takes a block of words and `share` pixels: it makes the words once and uses them at each of its pixels.
// Neighbouring threads have neighbouring blocks at the same pixels, so a warp's numbers lie side by side within an image.
extern "C" __global__ void dropout_channels(const float* x, float* y, int images, int pixels, int channels, int share,
                                            unsigned long long seed, unsigned long long offset, unsigned least,
                                            float scale) {
    const int words = images * channels, blocks = words / 4 + (words % 4 > 0);
    const int shares = pixels / share + (pixels % share > 0);
    for (int at = blockIdx.x * blockDim.x + threadIdx.x; at < blocks * shares; at += gridDim.x * blockDim.x) {
        const int block = at % blocks, first = at / blocks * share, end = min(pixels, first + share);
        const Words random = philox(offset + block, seed);
        for (int pixel = first; pixel < end; ++pixel)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int word = 4 * block + i, image = word / channels, channel = word % channels;
                const int number = (image * pixels + pixel) * channels + channel;
                if (word < words)
                    y[number] = random.at[i] >= least ? x[number] * scale : 0.f;
            }
    }
}
