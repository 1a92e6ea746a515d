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
// neighbouring numbers.  For the gradient x is dy, and y is dx.
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
