// What elementwise kernels need beside the prelude: the names that the generator of expressions uses.

typedef half_t __half;
typedef bfloat_t __nv_bfloat16;
DEVICE float __half2float(half_t x) { return load(x); }
DEVICE float __bfloat162float(bfloat_t x) { return load(x); }
DEVICE half_t __float2half_rn(float x) { return store<half_t>(x); }
DEVICE bfloat_t __float2bfloat16_rn(float x) { return store<bfloat_t>(x); }
#ifndef INFINITY
#define INFINITY __uint_as_float(0x7f800000u)
#define NAN __uint_as_float(0x7fc00000u)
#endif

DEVICE long long scalar_pow_long(long long a, long long n) {  // rounded towards 0 for negative n
    if (n < 0) return a == 1 ? 1 : a == -1 ? ((n & 1) ? -1 : 1) : 0;
    unsigned long long y = 1, b = (unsigned long long)a;
    for (; n; n >>= 1, b *= b)
        if (n & 1) y *= b;
    return (long long)y;
}
DEVICE unsigned long long scalar_pow_ulong(unsigned long long a, unsigned long long n) {
    unsigned long long y = 1;
    for (; n; n >>= 1, a *= a)
        if (n & 1) y *= a;
    return y;
}
