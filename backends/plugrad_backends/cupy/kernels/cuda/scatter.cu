// Adding at indices: y[o, indices[j], c] += x[o, j, c], where y is (outer, n, inner) and x is (outer, m, inner).
// An index that is out of range adds nowhere.

#define EACH_ELEMENT(i, n) \
    for (index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (index_t)gridDim.x * blockDim.x)

typedef Computed<T>::type C;

// Each place of y has one owner, which adds in the order of j: for few indices. `skip` is an index that counts as none.
KERNEL(owned)(const T* x, const index_t* indices, T* y, index_t outer, index_t n, index_t m, index_t inner, index_t skip) {
    EACH_ELEMENT(i, outer * n * inner) {
        const index_t c = i % inner, d = i / inner % n, o = i / inner / n;
        if (d == skip) continue;
        C sum = load(y[i]);
        for (index_t j = 0; j < m; ++j)
            if (indices[j] == d) sum += load(x[(o * m + j) * inner + c]);
        y[i] = store<T>(sum);
    }
}
// Of indices that were sorted, `order` saying stably from where, the first of equals adds for all.
KERNEL(segments)(const T* x, const index_t* sorted, const index_t* order, T* y, index_t outer, index_t n, index_t m,
                 index_t inner, index_t skip) {
    EACH_ELEMENT(i, outer * m * inner) {
        const index_t c = i % inner, j = i / inner % m, o = i / inner / m, d = sorted[j];
        if (d < 0 || d >= n || d == skip || (j && sorted[j - 1] == d)) continue;
        C sum = load(y[(o * n + d) * inner + c]);
        for (index_t k = j; k < m && sorted[k] == d; ++k) sum += load(x[(o * m + order[k]) * inner + c]);
        y[(o * n + d) * inner + c] = store<T>(sum);
    }
}
