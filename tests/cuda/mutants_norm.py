"""Faults planted into the kernels of normalisation and of the optimizers.  With any of them a test must fail.

MUTANTS: (file within minicnn, text, what stands there instead, what is wrong);  the text occurs once in the file.
"""
BATCH, PIXELS, LAYER, RESPONSE = (f"layers/norm/{name}.cu" for name in ("batch", "over_pixels", "layer", "response"))
STEPS = "optim/steps.cu"

MUTANTS = [
    # where a thread walks
    (PIXELS, "min(images.pixels, first + images.share) : first", "first + images.share : first",
     "the last share runs on"),
    (PIXELS, "channel < images.channels ? min", "true ? min", "threads without a channel walk"),
    (PIXELS, "blockIdx.x % images.tiles * blockDim.x + threadIdx.x", "threadIdx.x", "always the first tile"),
    (PIXELS, "first = row % images.shares * images.share", "first = row / images.shares * images.share",
     "image and share exchanged"),
    (PIXELS, "image * images.pixels * images.channels + channel, first", "channel, first", "always the first image"),
    # sums over the rows of a block
    (PIXELS, "const int half = (rows + 1) / 2;", "const int half = rows / 2;", "an odd row is lost"),
    (PIXELS, "        __syncthreads();\n        if (threadIdx.y + half < rows)", "        if (threadIdx.y + half < rows)",
     "no barrier between the halves"),
    (PIXELS, "threadIdx.y + half < rows", "threadIdx.y + half <= rows", "a row too many"),
    (PIXELS, "parts[here + half * blockDim.x]", "parts[here + half]", "the neighbour's channel"),
    # moments
    (PIXELS, "a.square + b.square + apart * apart * a.count * share", "a.square + b.square",
     "the distance of means is lost"),
    (PIXELS, "count > 0 ? b.count / count : 0.f", "b.count / count", "nothing joined with nothing"),
    (PIXELS, "own.square += away * (value - own.mean);", "own.square += away * away;", "squares around the old mean"),
    (PIXELS, "const float origin = walk.channel < images.channels ? x[walk.base] : 0;", "const float origin = 0;",
     "no origin: a large mean costs digits"),
    (PIXELS, "images.shares > 1 ? own.mean : origin + own.mean", "origin + own.mean", "the origin twice"),
    (PIXELS, "min(share, pixels - i * share)", "share", "the last share counts as a whole one"),
    (PIXELS, "if (threadIdx.y == 0 && walk.channel < images.channels) {\n        means",
     "if (threadIdx.y == 0) {\n        means",
     "written beyond the channels"),
    # constants
    (BATCH, "square[c] / count_less_1 - running_var[c]", "square[c] / (count_less_1 + 1) - running_var[c]",
     "the running variance is biased"),
    (PIXELS, "__shfl_down_sync(0xffffffffu, own.mean, step)", "own.mean", "a lane's own mean for its neighbour's"),
    (PIXELS, "__shfl_sync(0xffffffffu, own.mean, 0)", "own.mean", "each lane its own mean"),
    (PIXELS, "squares / (count * members) + eps", "squares / count + eps", "the variance of a channel for a group's"),
    (PIXELS, "weight[set % groups * members + i] * factor", "weight[i] * factor",
     "always the weights of the first group"),
    (PIXELS, "slope[set * members + i] = factor * factor * factor", "slope[set * members + i] = factor * factor",
     "slope without the scale"),
    (PIXELS, "g_along += weight", "g_along = weight", "= for +="),
    (PIXELS, "for (int step = 16; step > 0; step /= 2)\n        value +=",
     "for (int step = 8; step > 0; step /= 2)\n        value +=",
     "half a warp's gradients are lost"),
    # the journeys
    (PIXELS, "y[at] = factor * (x[at] - middle) + offset;", "y[at] = factor * x[at] + offset - factor * middle * .999f;",
     "the mean is not quite taken away"),
    (PIXELS, "sums[(rows + walk.row) * images.channels", "sums[(1 + walk.row) * images.channels",
     "sums over one another"),
    (PIXELS, "dy[at] * (x[at] - middle)})", "dy[at] * x[at]})", "products with x, not with what it is off the mean"),
    (PIXELS, "dx[at] = factor * dy[at] - less - along", "dx[at] = factor * dy[at] - along", "dx without its offset"),
    # layer norm
    (LAYER, "    __syncthreads();                                    // everybody", "    // everybody",
     "a sum written while the last one is read"),
    (LAYER, "for (int step = 16; step > 0; step /= 2)\n        value +=",
     "for (int step = 8; step > 0; step /= 2)\n        value +=",
     "half a warp is lost"),
    (LAYER, "for (int warp = 0; warp < 8; ++warp)", "for (int warp = 0; warp < 7; ++warp)", "the last warp is lost"),
    (LAYER, "square += (x[base + c] - mean) * (x[base + c] - mean);", "square += x[base + c] * x[base + c];",
     "squares around 0"),
    (LAYER, "sum_of_row(along) / channels", "sum_of_row(along)", "a sum for a mean"),
    # local response norm
    (RESPONSE, "last = min(channels - 1, c + (size - 1) / 2);", "last = min(channels - 1, c + size / 2);",
     "an even window grows by one"),
    (RESPONSE, "last = min(channels - 1, c + size / 2);", "last = min(channels, c + size / 2);",
     "the window runs out of the pixel"),
    (RESPONSE, "first = max(0, c - (size - 1) / 2)", "first = max(0, c - size / 2)", "the window is not turned round"),
    # optimizers
    (STEPS, "less2 * (g * g)", "(1 - b2) * (g * g)", "1 - b2 in float32 loses digits"),
    (STEPS, "mean[i] = m;", "", "the mean is not remembered"),
    (STEPS, "(sqrtf(v) + eps)", "sqrtf(v + eps)", "eps below the root"),
    (STEPS, "shrink * weight[i] - step", "weight[i] - step", "AdamW without its decay"),
    (STEPS, "nesterov ? g + momentum * v : v", "v", "Nesterov's look ahead is lost"),
    (STEPS, "velocity[i] = v;", "velocity[i] = g;", "the velocity is not remembered"),
    (STEPS, "if (velocity) {", "if (true) {", "a null pointer is read"),
    (STEPS, "i < count; i += gridDim.x * blockDim.x)\n        average", "i < count; i += count)\n        average",
     "one number a thread: the tail is lost"),
    (STEPS, "average[i] += share", "average[i] = share", "= for +="),
]
