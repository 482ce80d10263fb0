// What softmax and cross entropy are made of.

DEVICE C largest(const Row& x, index_t cols) {
    C most = -(C)INFINITE;
    each_chunk(cols, [&](int item, index_t c) {
        C v[V];
        x.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k) most = Max()(v[k], most);
    });
    return group_reduce(most, Max(), -(C)INFINITE);
}
DEVICE C sum_of_exp(const Row& x, C most, index_t cols) {
    return sum_of(cols, [&](int item, index_t c) {
        C v[V], part = 0;
        x.get(item, c, v);
#pragma unroll
        for (int k = 0; k < V; ++k) part += exp_(v[k] - most);
        return part;
    });
}
