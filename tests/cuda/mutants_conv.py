"""Faults planted into the kernels of the convolutions.  With any of them a test must fail.

MUTANTS: (file within minicnn, text, what stands there instead, what is wrong);  the text occurs once in the file.
"""
IMPLICIT, DEPTHWISE = "layers/conv/implicit.cu", "layers/conv/depthwise.cu"

MUTANTS = [
    # the tile and its product
    (IMPLICIT, "        __syncthreads();                                               // this buffer is full, and nobody reads the "
     "other\n", "", "no barrier between two slices"),
    (IMPLICIT, "return pixel ^ ((row / 4 & 3) * 8);", "return pixel ^ ((row / 4 & 3) * 4);", "a swizzle that two rows share"),
    (IMPLICIT, "const int tall = SWIZZLED ? swizzled(row, place.tall) : place.tall;", "const int tall = place.tall;",
     "written swizzled, read plainly"),
    (IMPLICIT, "                sum[i][j] += av[i] * bv[j];", "                sum[i][j] = av[i] * bv[j];", "= for +="),
    (IMPLICIT, "        wide = warp % (WIDE / 32) * 32 + lane % 4 * 4;", "        wide = warp % (WIDE / 32) * 32 + lane % 8 * 4;",
     "lanes of two rows in one place"),
    (IMPLICIT, "        return left > 0 ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);",
     "        return *reinterpret_cast<const float4*>(from);", "fours behind the end are read"),
    (IMPLICIT, "left > 2 ? from[2] : 0, left > 3 ? from[3] : 0", "left > 2 ? from[2] : 0, left > 2 ? from[3] : 0",
     "one number behind the end is read"),
    (IMPLICIT, "    if (left > 3) to[3] = v.w;", "    if (left > 2) to[3] = v.w;", "one number behind the end is written"),
    # forwards, and with respect to x
    (IMPLICIT, "row[i] + r >= 0 && row[i] + r < rows.source", "row[i] + r > 0 && row[i] + r < rows.source",
     "the first row counts as padding"),
    (IMPLICIT, "column[i] + c < columns.source;", "column[i] + c <= columns.source;", "a column too many"),
    (IMPLICIT, "row[i] = (in_rows - n * rows.outputs) * rows.step + rows.start;",
     "row[i] = (in_rows - n * rows.outputs) + rows.start;", "the stride of rows is forgotten"),
    (IMPLICIT, "            row[i] = -0x40000000; ", "            row[i] = row[i]; ", "pixels behind the last one are read"),
    (IMPLICIT, "return inside ? base[i] + (r * columns.source + c) * channels : -1;",
     "return inside ? base[i] + (r * columns.source + c) * inner : -1;", "channels of one group for those of all"),
    (IMPLICIT, "where[i] < 0 ? 0 : inner - slice - quad);", "where[i] < 0 ? 0 : 4);", "channels of the next pixel at the end of a tap"),
    (IMPLICIT, "            const int left = slice + r < length ? filters - k : 0;\n            next_weights",
     "            const int left = filters - k;\n            next_weights", "weights of the next tap at the end of a tap"),
    (IMPLICIT, "                v = make_float4(v.x < 0 ? 0 : v.x, v.y < 0 ? 0 : v.y, v.z < 0 ? 0 : v.z, v.w < 0 ? 0 : v.w);",
     "                v = make_float4(v.x < 0 ? 0 : v.x, v.y < 0 ? 0 : v.y, v.z < 0 ? 0 : v.z, v.w);",
     "every fourth filter without its ReLU"),
    (IMPLICIT, "const float4 b = four<ALIGNED>(bias + blockIdx.z * filters + k, filters - k);",
     "const float4 b = four<ALIGNED>(bias + k, filters - k);", "the bias of the first group for all"),
    # with respect to w
    (IMPLICIT, "const int end = min(sizes.pixels, (share + 1) * share_pixels);", "const int end = sizes.pixels;",
     "each share goes on to the end"),
    (IMPLICIT, "float* to = partial + (share * numbers + number) * all_filters + group * filters;",
     "float* to = partial + number * all_filters + group * filters;", "all shares write to one place"),
    (IMPLICIT, "            next_gradients[i] = four<ALIGNED>(dy + pixel * all_filters + k, pixel < end ? filters - k : 0);",
     "            next_gradients[i] = four<ALIGNED>(dy + pixel * all_filters + k, filters - k);", "dy of the next share counts, too"),
    # depthwise
    (DEPTHWISE, "y[at] = sizes.relu && sum < 0 ? 0.f : sum;", "y[at] = sum < 0 ? 0.f : sum;", "a ReLU that nobody asked for"),
    (DEPTHWISE, "            if (down < 0 || down % rows.stride || row >= rows.outputs)", "            if (down < 0 || row >= rows.outputs)",
     "outputs between two strides"),
    (DEPTHWISE, "pixel < end && channel < channels; pixel += 8)", "pixel < end; pixel += 8)", "channels behind the last one"),
    (DEPTHWISE, "    __syncthreads();\n", "", "no barrier before the sums are added"),
    (DEPTHWISE, "for (int other = 1; other < 8; ++other)", "for (int other = 0; other < 8; ++other)", "the first sum twice"),
    (DEPTHWISE, "(blockIdx.z * gridDim.y + blockIdx.y) * channels + channel", "(blockIdx.y * gridDim.z + blockIdx.z) * channels + channel",
     "shares and taps change places"),
]
