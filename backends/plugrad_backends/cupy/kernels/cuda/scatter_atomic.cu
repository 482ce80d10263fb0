// Adding at indices as scatter.cu does, after it, by atomic additions.

#if ATOMIC == 2  // halves: compare and swap
DEVICE void atomic_add(T* at, C by) {
    unsigned short* bits = &at->bits;
    unsigned short old = *bits, seen;
    do {
        seen = old;
        T was;
        was.bits = seen;
        old = atomicCAS(bits, seen, store<T>(load(was) + by).bits);
    } while (old != seen);
}
#elif ATOMIC == 3  // two's complement: the unsigned sum is the signed one
DEVICE void atomic_add(T* at, C by) { atomicAdd((word_t*)at, (word_t)by); }
#else
DEVICE void atomic_add(T* at, C by) { atomicAdd(at, by); }
#endif
// In no fixed order: sums of floats may differ in their last bits from run to run.
KERNEL(atomic)(const T* x, const index_t* indices, T* y, index_t outer, index_t n, index_t m, index_t inner, index_t skip) {
    EACH_ELEMENT(i, outer * m * inner) {
        const index_t c = i % inner, d = indices[i / inner % m], o = i / inner / m;
        if (d >= 0 && d < n && d != skip) atomic_add(y + (o * n + d) * inner + c, load(x[i]));
    }
}
