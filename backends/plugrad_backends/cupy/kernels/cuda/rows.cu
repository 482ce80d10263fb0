// A row belongs to a group of `blockDim.x` threads. ITEMS > 0: it is held in registers, V elements ITEMS times a thread,
// and read from memory once. ITEMS = 0: of any length.

typedef Computed<T>::type C;

template <class F> DEVICE void each_chunk(index_t cols, F f) {
#if ITEMS
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const index_t c = (index_t)(threadIdx.x + item * blockDim.x) * V;
        if (c < cols) f(item, c);
    }
#else
    for (index_t c = (index_t)threadIdx.x * V; c < cols; c += (index_t)blockDim.x * V) f(0, c);
#endif
}

// A row, from registers where it fits.
struct Row {
    const T* from;
#if ITEMS
    C kept[ITEMS][V];
#endif
    DEVICE Row(const T* from_, index_t cols) : from(from_) {
#if ITEMS
        each_chunk(cols, [&](int item, index_t c) { read<V>(from + c, kept[item]); });
#endif
    }
    DEVICE void get(int item, index_t c, C* out) const {
#if ITEMS
#pragma unroll
        for (int k = 0; k < V; ++k) out[k] = kept[item][k];
#else
        read<V>(from + c, out);
#endif
    }
};

template <class F> DEVICE C sum_of(index_t cols, F f) {
    C total = 0;
    each_chunk(cols, [&](int item, index_t c) { total += f(item, c); });
    return group_reduce(total, Add(), (C)0);
}

#define ROW ((index_t)blockIdx.x * blockDim.y + threadIdx.y)
