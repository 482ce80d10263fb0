// An optimizer's step for up to 64 parameters in one launch: the addresses are part of the kernel's arguments. A block
// takes CHUNK elements of one parameter; `first` says with which block each begins.

typedef Computed<T>::type C;
#define CHUNK 2048

struct Tensors {
    T* p[64];
    const T* g[64];
    T* a[64];
    T* b[64];
    T* c[64];
    index_t n[64];
    int first[65];
};

struct Place {
    int tensor;
    index_t begin, end;
};
DEVICE Place place(const Tensors& t) {
    int low = 0, high = 64;  // t.first[low] <= the block < t.first[high]
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if ((int)blockIdx.x < t.first[middle]) high = middle;
        else low = middle;
    }
    Place at;
    at.tensor = low;
    at.begin = (index_t)((int)blockIdx.x - t.first[low]) * CHUNK;
    at.end = at.begin + CHUNK < t.n[low] ? at.begin + CHUNK : t.n[low];
    return at;
}

// p -= lr v, v = momentum v + (1 - dampening) g; `fresh`: there is no v yet, and it becomes g.
KERNEL(sgd)(Tensors t, double lr, double momentum, double dampening, double weight_decay, int nesterov, int fresh, int maximize) {
    const Place at = place(t);
    T *const p = t.p[at.tensor], *const v = t.a[at.tensor];
    const T* const gs = t.g[at.tensor];
    for (index_t i = at.begin + threadIdx.x; i < at.end; i += blockDim.x) {
        const C old = load(p[i]);
        C g = load(gs[i]);
        if (maximize) g = -g;
        if (weight_decay != 0) g += (C)weight_decay * old;
        if (momentum != 0) {
            const C velocity = fresh ? g : (C)momentum * load(v[i]) + (C)(1 - dampening) * g;
            v[i] = store<T>(velocity);
            g = nesterov ? g + (C)momentum * velocity : velocity;
        }
        p[i] = store<T>(old - (C)lr * g);
    }
}

// p -= lr / bias1 · m / (√v / root2 + eps); m and v are the moving averages of g and g². `largest` (amsgrad) is in c.
KERNEL(adam)(Tensors t, double lr, double beta1, double beta2, double eps, double weight_decay, double bias1, double root2,
             int decoupled, int amsgrad, int maximize) {
    const Place at = place(t);
    T *const p = t.p[at.tensor], *const m = t.a[at.tensor], *const v = t.b[at.tensor], *const most = t.c[at.tensor];
    const T* const gs = t.g[at.tensor];
    for (index_t i = at.begin + threadIdx.x; i < at.end; i += blockDim.x) {
        C x = load(p[i]), g = load(gs[i]);
        if (maximize) g = -g;
        if (weight_decay != 0) {
            if (decoupled) x *= (C)(1 - lr * weight_decay);
            else g += (C)weight_decay * x;
        }
        const C first = load(m[i]) + (C)(1 - beta1) * (g - load(m[i]));
        C second = (C)beta2 * load(v[i]) + (C)(1 - beta2) * g * g;
        m[i] = store<T>(first);
        v[i] = store<T>(second);
        if (amsgrad) {
            second = Max()(load(most[i]), second);
            most[i] = store<T>(second);
        }
        p[i] = store<T>(x - (C)(lr / bias1) * (first / (sqrt_(second) / (C)root2 + (C)eps)));
    }
}
