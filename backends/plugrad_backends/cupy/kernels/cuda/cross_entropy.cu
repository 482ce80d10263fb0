// Cross entropy of rows and class indices: minus the log-softmax at the target, times the target's weight

// A target that is out of range makes its loss NaN, and its number, counted from 1, `fault`.
DEVICE bool valid(index_t target, index_t ignore, index_t cols, index_t* fault) {
    if (target == ignore) return false;
    if (target >= 0 && target < cols) return true;
    if (threadIdx.x == 0) atomicMax(fault, ROW + 1);
    return false;
}
// `losses` and `weights` are of C; the mean divides the sum of the one by that of the other.
KERNEL(forward)(const T* x, const index_t* targets, const T* weight, C* losses, C* weights, index_t* fault,
             index_t ignore, index_t rows, index_t cols) {
    if (ROW >= rows) return;
    const index_t target = targets[ROW];
    C loss = 0, w = 0;
    if (valid(target, ignore, cols, fault)) {
        Row row(x + ROW * cols, cols);
        const C most = largest(row, cols), shift = log_(sum_of_exp(row, most, cols));
        w = weight ? (C)load(weight[target]) : (C)1;
        loss = -w * (load(x[ROW * cols + target]) - most - shift);
    } else if (target != ignore) {
        loss = w = (C)NOT_A_NUMBER;
    }
    if (threadIdx.x == 0) {
        losses[ROW] = loss;
        weights[ROW] = w;
    }
}
// (softmax - 1 at the target) · weight · g; g is one number for all rows (each = 0) or one a row (each = 1), and is
// divided by `*total` where there is one.
KERNEL(backward)(const T* g, const C* total, const T* x, const index_t* targets, const T* weight, T* dx,
                      index_t ignore, index_t each, index_t rows, index_t cols) {
    if (ROW >= rows) return;
    const index_t target = targets[ROW];
    const bool counts = target != ignore, inside = target >= 0 && target < cols;
    Row row(x + ROW * cols, cols);
    const C most = largest(row, cols);
    C scale = load(g[each ? ROW : 0]);
    if (total) scale /= *total;
    if (counts && inside && weight) scale *= load(weight[target]);
    if (!counts) scale = 0;
    if (counts && !inside) scale = (C)NOT_A_NUMBER;
    const C sum = sum_of_exp(row, most, cols);
    each_chunk(cols, [&](int item, index_t c) {
        C v[V];
        row.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k) v[k] = counts ? (exp_(v[k] - most) / sum - (c + k == target)) * scale : (C)0;
        write<V>(dx + ROW * cols + c, v);
    });
}
