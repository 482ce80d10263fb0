// Layer normalization of rows, (x - mean) / √(variance + eps) · weight + bias, forward and backward.
// `weight` and `bias` may be null.

DEVICE C mean_of(const Row& x, index_t cols) {
    return sum_of(cols, [&](int item, index_t c) {
        C v[V], part = 0;
        x.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k) part += v[k];
        return part;
    }) / (C)cols;
}
// 1 / √(variance + eps), of the differences from the mean
DEVICE C scale_of(const Row& x, C mean, C eps, index_t cols) {
    const C squares = sum_of(cols, [&](int item, index_t c) {
        C v[V], part = 0;
        x.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k) part += (v[k] - mean) * (v[k] - mean);
        return part;
    });
    return 1 / sqrt_(squares / (C)cols + eps);
}

KERNEL(forward)(const T* x, const T* weight, const T* bias, T* y, double eps, index_t rows, index_t cols) {
    if (ROW >= rows) return;
    Row row(x + ROW * cols, cols);
    const C mean = mean_of(row, cols), scale = scale_of(row, mean, (C)eps, cols);
    each_chunk(cols, [&](int item, index_t c) {
        C v[V], w[V];
        row.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k) v[k] = (v[k] - mean) * scale;
        if (weight) {
            read<V>(weight + c, w);
#pragma unroll
            for (int k = 0; k < V; ++k) v[k] *= w[k];
        }
        if (bias) {
            read<V>(bias + c, w);
#pragma unroll
            for (int k = 0; k < V; ++k) v[k] += w[k];
        }
        write<V>(y + ROW * cols + c, v);
    });
}

// scale (h - mean(h) - y mean(h y)), where h = g weight and y is the normalized row. `stats` gets mean and scale of each
// row, for `parameters`; it may be null.
KERNEL(backward)(const T* g, const T* x, const T* weight, T* dx, C* stats, double eps, index_t rows, index_t cols) {
    if (ROW >= rows) return;
    Row of_g(g + ROW * cols, cols), of_x(x + ROW * cols, cols);
    const C mean = mean_of(of_x, cols), scale = scale_of(of_x, mean, (C)eps, cols);
    C h_sum = 0, hy_sum = 0;
    each_chunk(cols, [&](int item, index_t c) {
        C h[V], v[V], w[V];
        of_g.get(item, c, h);
        of_x.get(item, c, v);
        if (weight) read<V>(weight + c, w);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            if (weight) h[k] *= w[k];
            h_sum += h[k];
            hy_sum += h[k] * ((v[k] - mean) * scale);
        }
    });
    const C h_mean = group_reduce(h_sum, Add(), (C)0) / (C)cols;
    const C hy_mean = group_reduce(hy_sum, Add(), (C)0) / (C)cols;
    each_chunk(cols, [&](int item, index_t c) {
        C h[V], v[V], w[V];
        of_g.get(item, c, h);
        of_x.get(item, c, v);
        if (weight) read<V>(weight + c, w);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            if (weight) h[k] *= w[k];
            h[k] = scale * (h[k] - h_mean - (v[k] - mean) * scale * hy_mean);
        }
        write<V>(dx + ROW * cols + c, h);
    });
    if (stats && threadIdx.x == 0) {
        stats[2 * ROW] = mean;
        stats[2 * ROW + 1] = scale;
    }
}
