// Softmax of rows, or its logarithm where LOG is 1, forward and backward.

KERNEL(forward)(const T* x, T* y, index_t rows, index_t cols) {
    if (ROW >= rows) return;
    Row row(x + ROW * cols, cols);
    const C most = largest(row, cols), sum = sum_of_exp(row, most, cols);
#if LOG
    const C shift = log_(sum);
#endif
    each_chunk(cols, [&](int item, index_t c) {
        C v[V];
        row.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k)
#if LOG
            v[k] = v[k] - most - shift;
#else
            v[k] = exp_(v[k] - most) / sum;
#endif
        write<V>(y + ROW * cols + c, v);
    });
}

// y (g - Σ g y), or g - exp(y) Σ g
KERNEL(backward)(const T* g, const T* y, T* dx, index_t rows, index_t cols) {
    if (ROW >= rows) return;
    Row of_g(g + ROW * cols, cols), of_y(y + ROW * cols, cols);
    const C total = sum_of(cols, [&](int item, index_t c) {
        C a[V], b[V], part = 0;
        of_g.get(item, c, a);
        if (!LOG) of_y.get(item, c, b);
#pragma unroll
        for (int k = 0; k < V; ++k) part += LOG ? a[k] : a[k] * b[k];
        return part;
    });
    each_chunk(cols, [&](int item, index_t c) {
        C a[V], b[V];
        of_g.get(item, c, a);
        of_y.get(item, c, b);
#pragma unroll
        for (int k = 0; k < V; ++k) a[k] = LOG ? a[k] - exp_(b[k]) * total : b[k] * (a[k] - total);
        write<V>(dx + ROW * cols + c, a);
    });
}
