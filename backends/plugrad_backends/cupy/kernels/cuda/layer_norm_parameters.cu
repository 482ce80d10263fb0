// The gradients of layer normalization's weight and bias.

typedef Computed<T>::type C;

// Σ g y and Σ g over the rows, in two launches: a block of (32, 8) threads sums 32 columns of every `gridDim.y`-th eight
// rows into `partial` (2, gridDim.y, cols); `parameters_end` sums those, in order.
KERNEL(parameters)(const T* g, const T* x, const C* stats, C* partial, index_t rows, index_t cols) {
    __shared__ C shared[2][8][32];
    const index_t c = (index_t)blockIdx.x * 32 + threadIdx.x;
    C gy = 0, sum = 0;
    if (c < cols)
        for (index_t r = (index_t)blockIdx.y * 8 + threadIdx.y; r < rows; r += (index_t)gridDim.y * 8) {
            const C h = load(g[r * cols + c]);
            gy += h * ((load(x[r * cols + c]) - stats[2 * r]) * stats[2 * r + 1]);
            sum += h;
        }
    shared[0][threadIdx.y][threadIdx.x] = gy;
    shared[1][threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 1 || c >= cols) return;
    C total = 0;
    for (int k = 0; k < 8; ++k) total += shared[threadIdx.y][k][threadIdx.x];
    partial[(threadIdx.y * (index_t)gridDim.y + blockIdx.y) * cols + c] = total;
}
KERNEL(parameters_end)(const C* partial, T* dweight, T* dbias, index_t parts, index_t cols) {
    const index_t c = (index_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= cols) return;
    C gy = 0, sum = 0;
    for (index_t k = 0; k < parts; ++k) {
        gy += partial[k * cols + c];
        sum += partial[(parts + k) * cols + c];
    }
    if (dweight) dweight[c] = store<T>(gy);
    if (dbias) dbias[c] = store<T>(sum);
}
