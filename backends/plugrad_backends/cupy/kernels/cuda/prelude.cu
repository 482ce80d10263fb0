// What all kernels share. It needs no header of CUDA's, so a translation unit costs NVRTC some 45 ms and no include path.
// Threads that reduce together are `blockDim.x` threads, a multiple of 32; `blockDim.y` of such groups work side by side
// only where a group is one warp.

typedef long long index_t;
typedef unsigned int uint_t;
typedef unsigned long long word_t;

#define DEVICE __device__ __forceinline__
#define KERNEL(part) extern "C" __global__ void ENTRY(part)

// --- halves: stored in 16 bits, computed in float ---------------------------------------------------------------

struct half_t { unsigned short bits; };
struct bfloat_t { unsigned short bits; };

#ifdef PLUGRAD_HOST
DEVICE float half_to_float(unsigned short bits) { return host_half_to_float(bits); }
DEVICE unsigned short float_to_half(float x) { return host_float_to_half(x); }
#else
DEVICE float half_to_float(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
DEVICE unsigned short float_to_half(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
#endif
DEVICE float bfloat_to_float(unsigned short bits) { return __uint_as_float((uint_t)bits << 16); }
DEVICE unsigned short float_to_bfloat(float x) {
#if !defined(PLUGRAD_HOST) && __CUDA_ARCH__ >= 800
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    uint_t bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to nearest, ties to even
#endif
}

template <class T> struct Computed { typedef T type; };
template <> struct Computed<half_t> { typedef float type; };
template <> struct Computed<bfloat_t> { typedef float type; };

template <class T> DEVICE T load(T x) { return x; }
DEVICE float load(half_t x) { return half_to_float(x.bits); }
DEVICE float load(bfloat_t x) { return bfloat_to_float(x.bits); }

template <class T> struct Stored {
    template <class A> static DEVICE T of(A x) { return (T)x; }
};
template <> struct Stored<half_t> {
    template <class A> static DEVICE half_t of(A x) { half_t y; y.bits = float_to_half((float)x); return y; }
};
template <> struct Stored<bfloat_t> {
    template <class A> static DEVICE bfloat_t of(A x) { bfloat_t y; y.bits = float_to_bfloat((float)x); return y; }
};
template <class T, class A> DEVICE T store(A x) { return Stored<T>::of(x); }

// --- N elements in one access of up to 16 bytes ------------------------------------------------------------------

template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };

template <int N, class T, class A> DEVICE void read(const T* from, A* to) {
    const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
    for (int k = 0; k < N; ++k) to[k] = load(pack.v[k]);
}
template <int N, class T, class A> DEVICE void write(T* to, const A* from) {
    Pack<T, N> pack;
#pragma unroll
    for (int k = 0; k < N; ++k) pack.v[k] = store<T>(from[k]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// --- reductions: each thread of a warp, and of a group of warps, gets the same bits -----------------------------

struct Add { template <class A> DEVICE A operator()(A a, A b) const { return a + b; } };
struct Max { template <class A> DEVICE A operator()(A a, A b) const { return a > b || a != a ? a : b; } };

template <class A> DEVICE A from_lane(A a, int mask) { return __shfl_xor_sync(0xffffffffu, a, mask); }

template <class A, class Op> DEVICE A warp_reduce(A a, Op op) {
#pragma unroll
    for (int mask = 16; mask; mask >>= 1) a = op(a, from_lane(a, mask));
    return a;
}
template <class A, class Op> DEVICE A group_reduce(A a, Op op, A neutral) {
    __shared__ A warps[32];
    a = warp_reduce(a, op);
    if (blockDim.x == 32) return a;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    if (lane == 0) warps[warp] = a;
    __syncthreads();
    a = warp_reduce(lane < (int)(blockDim.x >> 5) ? warps[lane] : neutral, op);
    __syncthreads();  // the next reduction writes here again
    return a;
}

// --- functions by precision --------------------------------------------------------------------------------------

DEVICE float exp_(float x) { return expf(x); }
DEVICE double exp_(double x) { return exp(x); }
DEVICE float log_(float x) { return logf(x); }
DEVICE double log_(double x) { return log(x); }
DEVICE float sqrt_(float x) { return sqrtf(x); }
DEVICE double sqrt_(double x) { return sqrt(x); }
#define INFINITE __uint_as_float(0x7f800000u)
#define NOT_A_NUMBER __uint_as_float(0x7fc00000u)
