"""The numbers that decide how quick it is: sizes of blocks, and from which size on a way pays.

They were found by measurement, some on one machine only:

    E    two cores of an EPYC (Zen 5) with AVX-512: steps of style transfer through VGG-19 at 256 and 512 pixels, training
         steps of `small` with batches of 128 (`minicnn bench style-step-256 train-step`)
    X    two cores of a Xeon with AMX: whole transfers through VGG-16 at 256 pixels (`minicnn bench transfer-256`)
    G    counted, for NVIDIA GPUs of compute capability 7.5 and on; on an H200 run, but not searched
    -    not searched: the size of a cache, or a round number with room on both sides

What comes out depends on them in its last digits only, where they change the order of a sum or the algorithm; and none of
them depends on the number of threads, so that results do not either.
To try one: `minicnn.core.tuning.NAME = value` before anything is computed, then `minicnn bench`.
"""

# ---- Threads (core/threads.py, core/blas.py, core/arithmetic/products.py) --------------------------------------------

THREAD_PRODUCT = 1 << 21          # E    multiply-adds of a matrix product that are worth a thread
PRODUCT_SLICES = 8                # E    at most so many slices of one product
THREAD_SUM = 1 << 18              # X    numbers of an array from which adding it is worth another thread
INLINE_PRODUCT = 1 << 16          # E    multiply-adds that are done before a thread has begun, one of BLAS's included
BLAS_SMALL_PRODUCT = 10 ** 6      # E    multiply-adds up to which OpenBLAS multiplies matrices as they lie, with AVX-512
BLAS_FEWEST_ROWS = 32             # X    of such a product: with fewer, too little is done with each number

# ---- Convolution (layers/conv) -----------------------------------------------------------------------------------------

IM2COL_BLOCK_BYTES = 2 << 20      # E    a patch matrix and its products: they stay in the processor's cache
IM2COL_SHARES = 4                 # E    partial sums of a weight gradient
IM2COL_FEW_CHANNELS = 4           # E    of an image, so few that rows of them are too short to work with: planes instead
IM2COL_FEW_PIXELS = 512           # X    so few that the filters are hardly used: turning them would take longer
IM2COL_PARTS = 4                  # X    of the channels, where there is a single image

WINOGRAD_FEW_CHANNELS = 16        # E    channels or filters: with fewer, transforming a tile costs more than it saves
WINOGRAD_FEW_TILES = 20           # X    with fewer the filters are not worth transforming
WINOGRAD_MANY_TILES = 128         # X    of 8x8, from which on they pay: the filters are almost twice as large with them
WINOGRAD_WORTH = .95              # X    ... if they take no more than this share of the multiplications of tiles of 6x6
WINOGRAD_BLOCK_BYTES = 4800 << 10  # E   transformed tiles of a block, inputs and products: mostly in cache, and few blocks
WINOGRAD_TILE_WEIGHTS = 1024      # E    a block has a tile for so many weights, since it reads all filters,
WINOGRAD_BLOCK_TILES = 128        # E    ... up to so many
WINOGRAD_PARTS = 4                # X    of a block that the threads share
WINOGRAD_EVEN = 4                 # X    blocks of an image are a multiple of this, so that no thread waits for the last one
WINOGRAD_PORTION = 64             # E    filters that are transformed and multiplied together, at most
WINOGRAD_GRADIENT_BYTES = 8 << 20  # E   transformed weight gradients of one part
WINOGRAD_SHARES = 4               # E    partial sums of a weight gradient

DEPTHWISE_BLOCK_BYTES = 1 << 19   # E    the pixels of one tap: with its products and the output it stays in cache
DEPTHWISE_SHARES = 4              # E    partial sums of a weight gradient
EPILOGUE_BLOCK_BYTES = 1 << 20    # -    of a gradient behind a ReLU
EPILOGUE_SHARES = 4               # E    partial sums of the gradient of a bias

# ---- Other layers ------------------------------------------------------------------------------------------------------

ACTIVATION_BLOCK = 1 << 17        # E    numbers: so few that a block's temporary arrays stay in cache
NORM_BLOCK = 1 << 18              # E    numbers that are worked on at once: a few arrays of them stay in cache
POOL_BLOCK_BYTES = 1 << 20        # E    of the output: smaller ones are not worth a thread
RESAMPLE_BAND = 32                # E    rows of a matrix of weights that are multiplied at once
RESAMPLE_BLOCK = 1 << 18          # E    numbers of the output in a block: so few that they stay in cache
DROPOUT_BLOCKS = 1 << 16          # -    of random numbers: so few that NumPy's temporary arrays stay in cache
GRAM_THREAD_PRODUCT = 1 << 22     # E    multiply-adds that are worth a thread
GRAM_SHARES = 4                   # E    at most so many partial sums
GRAM_SLICES = 8                   # E    and slices of a gradient, of one image

# ---- Optimizers and pictures -------------------------------------------------------------------------------------------

OPTIMIZER_BLOCK = 1 << 19         # E    numbers in a block, at least: so many that a thread is worth its start, and no more
COLOUR_BLOCK = 1 << 20            # -    numbers of a picture that are worked on at once

# ---- On a GPU ----------------------------------------------------------------------------------------------------------

CONV_ENOUGH_BLOCKS = 256          # G    of threads: one or two for each multiprocessor of a large GPU
CONV_FEWEST_SLICES = 8            # G    of pixels that are worth a block of their own, in a weight gradient
DEPTHWISE_FEWEST_PIXELS = 256     # G    that are worth a block of a weight gradient
DROPOUT_PIXELS = 16               # G    of whole channels, for which a thread uses the same random words
NORM_STEPS = 32                   # G    pixels that are worth a thread
NORM_MOST_SHARES = 1024           # G    of an image's pixels
NORM_WARP_CHANNELS = 1024         # G    of a layer norm that one warp deals with; with more, a block of threads
