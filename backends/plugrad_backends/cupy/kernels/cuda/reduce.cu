// Reductions over the middle of (outer, n, inner). An element is mapped to an accumulator by MAP, accumulators are put
// together by COMBINE, in an order that depends on the shape alone, and FINISH makes a result of one. Where a result's
// elements are shared by several blocks (splits > 1), each leaves an accumulator in `partial` (outer, splits, inner).

typedef Computed<T>::type C;

struct Best {  // of the elements so far: its value and place, -1 for none
    C v;
    index_t i;
};
DEVICE Best from_lane(Best a, int mask) {
    Best b;
    b.v = (C)__shfl_xor_sync(0xffffffffu, a.v, mask);
    b.i = __shfl_xor_sync(0xffffffffu, a.i, mask);
    return b;
}
DEVICE Best best(C v, index_t i) { Best b; b.v = v; b.i = i; return b; }
// The better of two, NaN being better than any number, and of equals the first.
DEVICE Best better(Best a, Best b, bool greater) {
    if (a.i < 0) return b;
    if (b.i < 0) return a;
    const bool a_nan = a.v != a.v, b_nan = b.v != b.v;
    if (a_nan || b_nan) return a_nan && (!b_nan || a.i < b.i) ? a : b;
    if (a.v == b.v) return a.i < b.i ? a : b;
    return (greater ? a.v > b.v : a.v < b.v) ? a : b;
}

typedef ACCUMULATOR A;
struct Combine { DEVICE A operator()(A a, A b) const { return COMBINE; } };
DEVICE A neutral() { return NEUTRAL; }
DEVICE A mapped(C v, index_t i) { return MAP; }
DEVICE RESULT finished(A a, double n) { return store<RESULT>(FINISH); }

// inner = 1: a group of threads for each part of a row; V elements at once where `wide`.
KERNEL(rows)(const T* x, RESULT* y, A* partial, double count, index_t outer, index_t n, index_t splits, index_t wide) {
    const index_t group = (index_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (group >= outer * splits) return;
    const index_t row = group / splits, part = group % splits;
    const index_t length = ((n + splits - 1) / splits + V - 1) / V * V;
    const index_t begin = part * length, end = begin + length < n ? begin + length : n;
    x += row * n;
    A a = neutral();
    if (wide)
        for (index_t i = begin + (index_t)threadIdx.x * V; i < end; i += (index_t)blockDim.x * V) {
            C v[V];
            read<V>(x + i, v);
#pragma unroll
            for (int k = 0; k < V; ++k) a = Combine()(a, mapped(v[k], i + k));
        }
    else
        for (index_t i = begin + threadIdx.x; i < end; i += blockDim.x) a = Combine()(a, mapped(load(x[i]), i));
    a = group_reduce(a, Combine(), neutral());
    if (threadIdx.x) return;
    if (splits > 1) partial[group] = a;
    else y[row] = finished(a, count);
}

// inner > 1: a block of (32, 8) threads for each part of 32 columns.
KERNEL(columns)(const T* x, RESULT* y, A* partial, double count, index_t n, index_t inner, index_t splits) {
    __shared__ A shared[8][32];
    const index_t strips = (inner + 31) / 32, group = blockIdx.x / strips;
    const index_t column = blockIdx.x % strips * 32 + threadIdx.x, row = group / splits, part = group % splits;
    const index_t length = (n + splits - 1) / splits, begin = part * length;
    const index_t end = begin + length < n ? begin + length : n;
    A a = neutral();
    if (column < inner)
        for (index_t i = begin + threadIdx.y; i < end; i += 8)
            a = Combine()(a, mapped(load(x[(row * n + i) * inner + column]), i));
    shared[threadIdx.y][threadIdx.x] = a;
    __syncthreads();
    if (threadIdx.y || column >= inner) return;
    for (int k = 1; k < 8; ++k) a = Combine()(a, shared[k][threadIdx.x]);
    if (splits > 1) partial[group * inner + column] = a;
    else y[row * inner + column] = finished(a, count);
}

// The results of partial ones: a warp each.
KERNEL(finish)(const A* partial, RESULT* y, double count, index_t results, index_t inner, index_t splits) {
    const index_t result = (index_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (result >= results) return;
    partial += result / inner * splits * inner + result % inner;
    A a = neutral();
    for (index_t k = threadIdx.x; k < splits; k += 32) a = Combine()(a, partial[k * inner]);
    a = warp_reduce(a, Combine());
    if (threadIdx.x == 0) y[result] = finished(a, count);
}
