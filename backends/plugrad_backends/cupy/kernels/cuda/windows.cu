// Convolutions and pools over the last two axes of (images, channels, rows, columns): columns of images for products of
// matrices, and back; maxima and means of windows, and back. What goes back is gathered, so that sums have one order.

typedef Computed<T>::type C;

#define EACH_ELEMENT(i, n) \
    for (index_t i = (index_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (index_t)gridDim.x * blockDim.x)

struct Windows {         // as the parameters of all kernels here end
    int h, w, kh, kw, sh, sw, ph, pw, dh, dw, oh, ow;
};

// columns[n, c, i, j, p, q] = x[n, c, p sh + i dh - ph, q sw + j dw - pw], 0 outside
KERNEL(im2col)(const T* x, T* columns, index_t planes, Windows k) {
    const index_t area = (index_t)k.oh * k.ow;
    EACH_ELEMENT(e, planes * k.kh * k.kw * area) {
        const int q = (int)(e % k.ow), p = (int)(e / k.ow % k.oh), j = (int)(e / area % k.kw);
        const int i = (int)(e / area / k.kw % k.kh), r = p * k.sh + i * k.dh - k.ph, s = q * k.sw + j * k.dw - k.pw;
        const index_t plane = e / area / k.kw / k.kh;
        T v = store<T>((C)0);
        if (r >= 0 && r < k.h && s >= 0 && s < k.w) v = x[(plane * k.h + r) * k.w + s];
        columns[e] = v;
    }
}
// The transpose of `im2col`: each element of x sums the places of the columns that it went to.
KERNEL(col2im)(const T* columns, T* x, index_t planes, Windows k) {
    EACH_ELEMENT(e, planes * k.h * k.w) {
        const int s = (int)(e % k.w), r = (int)(e / k.w % k.h);
        const index_t plane = e / k.w / k.h;
        C sum = 0;
        for (int i = 0; i < k.kh; ++i) {
            const int above = r + k.ph - i * k.dh;
            if (above < 0 || above % k.sh || above / k.sh >= k.oh) continue;
            for (int j = 0; j < k.kw; ++j) {
                const int left = s + k.pw - j * k.dw;
                if (left < 0 || left % k.sw || left / k.sw >= k.ow) continue;
                sum += load(columns[(((plane * k.kh + i) * k.kw + j) * k.oh + above / k.sh) * k.ow + left / k.sw]);
            }
        }
        x[e] = store<T>(sum);
    }
}

// The first greatest element of each window, NaN being greater than any number, and its number in the window; either
// may be null.
KERNEL(max_pool)(const T* x, T* y, index_t* which, index_t planes, Windows k) {
    EACH_ELEMENT(e, planes * k.oh * k.ow) {
        const int q = (int)(e % k.ow), p = (int)(e / k.ow % k.oh);
        const index_t plane = e / k.ow / k.oh;
        C most = LOWEST;
        int at = -1;
        for (int i = 0; i < k.kh; ++i)
            for (int j = 0; j < k.kw; ++j) {
                const int r = p * k.sh + i * k.dh - k.ph, s = q * k.sw + j * k.dw - k.pw;
                if (r < 0 || r >= k.h || s < 0 || s >= k.w) continue;
                const C v = load(x[(plane * k.h + r) * k.w + s]);
                if (at < 0 || v > most || v != v) {
                    most = v;
                    at = i * k.kw + j;
                }
            }
        if (y) y[e] = store<T>(most);
        if (which) which[e] = at;
    }
}
// The element of each window whose number is given; 0 where that is outside
KERNEL(take_pooled)(const T* x, const index_t* which, T* y, index_t planes, Windows k) {
    EACH_ELEMENT(e, planes * k.oh * k.ow) {
        const int q = (int)(e % k.ow), p = (int)(e / k.ow % k.oh), i = (int)(which[e] / k.kw), j = (int)(which[e] % k.kw);
        const int r = p * k.sh + i * k.dh - k.ph, s = q * k.sw + j * k.dw - k.pw;
        T v = store<T>((C)0);
        if (r >= 0 && r < k.h && s >= 0 && s < k.w) v = x[(e / k.ow / k.oh * k.h + r) * k.w + s];
        y[e] = v;
    }
}
// Its transpose: each element of x sums the cotangents of the windows that chose it.
KERNEL(embed_pooled)(const T* g, const index_t* which, T* x, index_t planes, Windows k) {
    EACH_ELEMENT(e, planes * k.h * k.w) {
        const int s = (int)(e % k.w), r = (int)(e / k.w % k.h);
        const index_t plane = e / k.w / k.h;
        C sum = 0;
        for (int i = 0; i < k.kh; ++i) {
            const int above = r + k.ph - i * k.dh;
            if (above < 0 || above % k.sh || above / k.sh >= k.oh) continue;
            for (int j = 0; j < k.kw; ++j) {
                const int left = s + k.pw - j * k.dw;
                if (left < 0 || left % k.sw || left / k.sw >= k.ow) continue;
                const index_t window = (plane * k.oh + above / k.sh) * k.ow + left / k.sw;
                if (which[window] == i * k.kw + j) sum += load(g[window]);
            }
        }
        x[e] = store<T>(sum);
    }
}

// How many elements the mean of a window divides by: `divisor`, or its own, with padding where `counted`. The padding at the
// end counts as far as that at the start goes, no further.
DEVICE C count_of(int p, int q, const Windows& k, int counted, int divisor) {
    if (divisor) return (C)divisor;
    int r0 = p * k.sh - k.ph, s0 = q * k.sw - k.pw;
    int r1 = r0 + k.kh < k.h + k.ph ? r0 + k.kh : k.h + k.ph, s1 = s0 + k.kw < k.w + k.pw ? s0 + k.kw : k.w + k.pw;
    if (!counted) {
        r0 = r0 < 0 ? 0 : r0;
        s0 = s0 < 0 ? 0 : s0;
        r1 = r1 < k.h ? r1 : k.h;
        s1 = s1 < k.w ? s1 : k.w;
    }
    return (C)(r1 - r0) * (C)(s1 - s0);
}
KERNEL(avg_pool)(const T* x, T* y, index_t planes, Windows k, int counted, int divisor) {
    EACH_ELEMENT(e, planes * k.oh * k.ow) {
        const int q = (int)(e % k.ow), p = (int)(e / k.ow % k.oh);
        const index_t plane = e / k.ow / k.oh;
        C sum = 0;
        for (int i = 0; i < k.kh; ++i)
            for (int j = 0; j < k.kw; ++j) {
                const int r = p * k.sh + i - k.ph, s = q * k.sw + j - k.pw;
                if (r >= 0 && r < k.h && s >= 0 && s < k.w) sum += load(x[(plane * k.h + r) * k.w + s]);
            }
        y[e] = store<T>(sum / count_of(p, q, k, counted, divisor));
    }
}
KERNEL(avg_unpool)(const T* g, T* x, index_t planes, Windows k, int counted, int divisor) {
    EACH_ELEMENT(e, planes * k.h * k.w) {
        const int s = (int)(e % k.w), r = (int)(e / k.w % k.h);
        const index_t plane = e / k.w / k.h;
        C sum = 0;
        for (int i = 0; i < k.kh; ++i) {
            const int above = r + k.ph - i;
            if (above < 0 || above % k.sh || above / k.sh >= k.oh) continue;
            for (int j = 0; j < k.kw; ++j) {
                const int left = s + k.pw - j;
                if (left < 0 || left % k.sw || left / k.sw >= k.ow) continue;
                const int p = above / k.sh, q = left / k.sw;
                sum += load(g[(plane * k.oh + p) * k.ow + q]) / count_of(p, q, k, counted, divisor);
            }
        }
        x[e] = store<T>(sum);
    }
}
