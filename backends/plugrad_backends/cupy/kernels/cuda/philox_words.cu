// What is made of the words as integers; after philox.cu.

KERNEL(words)(word_t* y, word_t seed, word_t offset, index_t n) {
    EACH_BLOCK(q, n) {
        const Words w = philox(seed, offset, q);
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (4 * q + k < n) y[4 * q + k] = w.v[k];
    }
}
// low + w mod span, a span of 0 being 2**64
KERNEL(integers)(index_t* y, word_t seed, word_t offset, word_t low, word_t span, index_t n) {
    EACH_BLOCK(q, n) {
        const Words w = philox(seed, offset, q);
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (4 * q + k < n) y[4 * q + k] = (index_t)(low + (span ? w.v[k] % span : w.v[k]));
    }
}
// Whether the high 53 bits of the word are below `threshold`
KERNEL(bernoulli)(bool* y, word_t seed, word_t offset, word_t threshold, index_t n) {
    EACH_BLOCK(q, n) {
        const Words w = philox(seed, offset, q);
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (4 * q + k < n) y[4 * q + k] = w.v[k] >> 11 < threshold;
    }
}
