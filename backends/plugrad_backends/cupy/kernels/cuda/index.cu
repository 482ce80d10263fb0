// Reading by index arrays, of elements of any type: W is what is copied at once, 1 to 16 bytes.

#define EACH_ELEMENT(i, n) \
    for (index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (index_t)gridDim.x * blockDim.x)

struct alignas(16) wide_t { word_t v[2]; };

// An index that is out of range reads some other element, never memory of others: it is told when values are next read.
DEVICE index_t inside(index_t i, index_t n) {
    if (i < 0) i += n;
    return i >= 0 && i < n ? i : 0;
}

// y[o, j, c] = x[o, indices[j], c], where x is (outer, n, inner) and y is (outer, m, inner)
KERNEL(take)(const W* x, const index_t* indices, W* y, index_t outer, index_t n, index_t m, index_t inner) {
    EACH_ELEMENT(i, outer * m * inner) {
        const index_t c = i % inner, j = i / inner % m, o = i / inner / m;
        y[i] = x[(o * n + inside(indices[j], n)) * inner + c];
    }
}
// y[o, j, c] = x[o, indices[o, j, c], c]
KERNEL(gather)(const W* x, const index_t* indices, W* y, index_t outer, index_t n, index_t m, index_t inner) {
    EACH_ELEMENT(i, outer * m * inner) y[i] = x[(i / inner / m * n + inside(indices[i], n)) * inner + i % inner];
}
// y[o, j, c]: where indices[o, j, c] is in a flat array (outer, n, inner); -1 where it is out of range
KERNEL(places)(const index_t* indices, index_t* y, index_t outer, index_t n, index_t m, index_t inner) {
    EACH_ELEMENT(i, outer * m * inner) {
        const index_t j = indices[i] < 0 ? indices[i] + n : indices[i];
        y[i] = j >= 0 && j < n ? (i / inner / m * n + j) * inner + i % inner : -1;
    }
}
// y[b, c, r] = x[b, r, c]: by way of tiles of 32 by 32, so that both sides are read and written in rows
KERNEL(transpose)(const W* x, W* y, index_t rows, index_t cols) {
    __shared__ W tile[32][33];
    const index_t across = (cols + 31) / 32, down = (rows + 31) / 32, b = blockIdx.x / (across * down);
    const index_t r0 = blockIdx.x / across % down * 32, c0 = blockIdx.x % across * 32;
    x += b * rows * cols;
    y += b * rows * cols;
    for (index_t k = threadIdx.y; k < 32; k += 8)
        if (r0 + k < rows && c0 + threadIdx.x < cols) tile[k][threadIdx.x] = x[(r0 + k) * cols + c0 + threadIdx.x];
    __syncthreads();
    for (index_t k = threadIdx.y; k < 32; k += 8)
        if (c0 + k < cols && r0 + threadIdx.x < rows) y[(c0 + k) * rows + r0 + threadIdx.x] = tile[threadIdx.x][k];
}
