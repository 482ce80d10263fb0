// Philox4x64-10: block q of a call has the counter offset + 1 + q and the key (seed, 0), and four words. Element i of a
// result is made of word i; `bits` of the words are those of every other device.

struct Words { word_t v[4]; };

DEVICE Words philox(word_t seed, word_t offset, word_t q) {
    word_t c0 = offset + 1, c1 = c0 == 0, c2 = 0, c3 = 0, k0 = seed, k1 = 0;
    c0 += q;
    c1 += c0 < q;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const word_t h0 = __umul64hi(0xD2E7470EE14C6C93ull, c0), l0 = 0xD2E7470EE14C6C93ull * c0;
        const word_t h1 = __umul64hi(0xCA5A826395121157ull, c2), l1 = 0xCA5A826395121157ull * c2;
        c0 = h1 ^ c1 ^ k0;
        c1 = l1;
        c2 = h0 ^ c3 ^ k1;
        c3 = l0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    Words w;
    w.v[0] = c0; w.v[1] = c1; w.v[2] = c2; w.v[3] = c3;
    return w;
}

typedef Computed<T>::type C;
DEVICE C unit(word_t w, float) { return (C)((float)(w >> 40) * 5.9604644775390625e-8f); }
DEVICE C unit(word_t w, double) { return (C)((double)(w >> 11) * 1.1102230246251565404e-16); }
DEVICE C fused(C a, C b, C c) { return sizeof(C) == 4 ? (C)fmaf((float)a, (float)b, (float)c) : (C)fma((double)a, (double)b, (double)c); }
DEVICE void turn(float b, float* s, float* c) { sincospif(2 * b, s, c); }
DEVICE void turn(double b, double* s, double* c) { sincospi(2 * b, s, c); }

#define EACH_BLOCK(q, n) \
    for (index_t q = (index_t)blockIdx.x * blockDim.x + threadIdx.x; q < (n + 3) / 4; q += (index_t)gridDim.x * blockDim.x)

// low + (high - low) unit, rounded once; what rounds up to high becomes low. `span` is high - low in the units' precision.
KERNEL(uniform)(T* y, word_t seed, word_t offset, double low, double high, double span, index_t n) {
    const T first = store<T>((C)low), end = store<T>((C)high);
    EACH_BLOCK(q, n) {
        const Words w = philox(seed, offset, q);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            T v = store<T>(fused(unit(w.v[k], (C)0), (C)span, (C)low));
            if (load(v) == load(end)) v = first;
            if (4 * q + k < n) y[4 * q + k] = v;
        }
    }
}
// Box and Muller's pairs of the units of two words
KERNEL(normal)(T* y, word_t seed, word_t offset, double mean, double deviation, index_t n) {
    EACH_BLOCK(q, n) {
        const Words w = philox(seed, offset, q);
#pragma unroll
        for (int k = 0; k < 4; k += 2) {
            const C radius = sqrt_(-2 * log_(1 - unit(w.v[k], (C)0)));
            C sine, cosine;
            turn(unit(w.v[k + 1], (C)0), &sine, &cosine);
            if (4 * q + k < n) y[4 * q + k] = store<T>(fused(radius * cosine, (C)deviation, (C)mean));
            if (4 * q + k + 1 < n) y[4 * q + k + 1] = store<T>(fused(radius * sine, (C)deviation, (C)mean));
        }
    }
}
