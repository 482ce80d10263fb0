// CUDA C++ on the CPU: enough of the language to run plugrad's kernels under g++, one fiber a thread, one block after
// the other. A fiber runs until it waits for others: so wrong arithmetic and indices show, and, since fibers can be
// taken in either order, most missing barriers; what only parallel execution shows does not.
#pragma once
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PLUGRAD_HOST 1
#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct uint3 { unsigned x, y, z; };
typedef uint3 dim3;
struct float2 { float x, y; };
struct double2 { double x, y; };
static float2 make_float2(float x, float y) { return float2{x, y}; }
static double2 make_double2(double x, double y) { return double2{x, y}; }
static uint3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

// --- fibers ------------------------------------------------------------------------------------------------------

enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Fiber {
    ucontext_t start;
    jmp_buf at;
    bool begun;
    State state;
    unsigned lanes;         // those it waits for
    int turn;               // which of two slots its next exchange uses
    uint64_t slots[2];
    uint3 index;
};
static const int HOST_THREADS = 1024, HOST_STACK = 64 * 1024;
static Fiber* fibers;
static char* stacks;
static Fiber* current;
static int n_threads;
static ucontext_t host_context;
static jmp_buf host_at, host_failed;
static void (*host_body)(const void*);
static const void* host_arguments;
static char host_error[512];

static void host_fail(const char* what) {
    snprintf(host_error, sizeof host_error, "block (%u, %u, %u), thread (%u, %u, %u): %s", blockIdx.x, blockIdx.y,
             blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
    _longjmp(host_failed, 1);
}
static void fiber_wait(State state, unsigned lanes) {
    current->state = state;
    current->lanes = lanes;
    if (!_setjmp(current->at)) _longjmp(host_at, 1);
}
static void fiber_main() {
    for (;;) {  // a fiber serves for all blocks of a launch
        host_body(host_arguments);
        fiber_wait(DONE, 0);
    }
}
static void fiber_resume(Fiber* fiber) {
    current = fiber;
    threadIdx = fiber->index;
    if (_setjmp(host_at)) return;
    if (fiber->begun) _longjmp(fiber->at, 1);
    fiber->begun = true;
    swapcontext(&host_context, &fiber->start);
}
static bool release_warp(int base) {
    bool released = false;
    for (int lane = 0; lane < 32; ++lane) {
        Fiber* fiber = fibers + base + lane;
        if (fiber->state != AT_WARP) continue;
        unsigned lanes = fiber->lanes;
        bool all = lanes >> lane & 1;
        for (int i = 0; i < 32; ++i)
            if (lanes >> i & 1) all &= fibers[base + i].state == AT_WARP && fibers[base + i].lanes == lanes;
        if (!all) continue;
        for (int i = 0; i < 32; ++i)
            if (lanes >> i & 1) fibers[base + i].state = READY;
        released = true;
    }
    return released;
}
// Each warp runs as far as it can before the next one begins: what another warp has not read yet is then overwritten, and
// what it has not written yet is read, where a barrier is missing.
static void run_block(int order) {
    for (int i = 0; i < n_threads; ++i) fibers[i].state = READY;
    for (;;) {
        for (int w = 0; w < n_threads; w += 32) {
            const int base = order ? n_threads - 32 - w : w;
            do {
                for (int i = 0; i < 32; ++i) {
                    Fiber* fiber = fibers + base + (order ? 31 - i : i);
                    if (fiber->state == READY) fiber_resume(fiber);
                }
            } while (release_warp(base));
        }
        int waiting = 0, done = 0;
        for (int i = 0; i < n_threads; ++i) {
            waiting += fibers[i].state == AT_BLOCK;
            done += fibers[i].state == DONE;
        }
        if (done == n_threads) return;
        if (waiting != n_threads) {
            threadIdx = uint3{0, 0, 0};
            host_fail("threads wait at a barrier that others do not reach");
        }
        for (int i = 0; i < n_threads; ++i) fibers[i].state = READY;
    }
}
// Runs a kernel; returns null, or what went wrong.
extern "C" const char* host_launch(void (*body)(const void*), const unsigned* grid, const unsigned* block,
                                   const void* arguments, int order) {
    if (!fibers) {
        fibers = (Fiber*)calloc(HOST_THREADS, sizeof(Fiber));
        stacks = (char*)mmap(0, (size_t)HOST_THREADS * HOST_STACK, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);  // each library has its own: most is never touched
        if (stacks == MAP_FAILED) return "no memory for the stacks of threads";
    }
    gridDim = uint3{grid[0], grid[1], grid[2]};
    blockDim = uint3{block[0], block[1], block[2]};
    n_threads = block[0] * block[1] * block[2];
    host_body = body;
    host_arguments = arguments;
    if (_setjmp(host_failed)) return host_error;
    blockIdx = threadIdx = uint3{0, 0, 0};
    if (n_threads < 1 || n_threads > HOST_THREADS) host_fail("a block has 1 to 1024 threads");
    if (n_threads % 32) host_fail("the threads of a block are no multiple of 32");
    if (grid[0] < 1 || grid[0] > INT_MAX || grid[1] < 1 || grid[1] > 65535 || grid[2] < 1 || grid[2] > 65535)
        host_fail("a grid has 1 to 2147483647, 65535 and 65535 blocks");
    for (int i = 0; i < n_threads; ++i) {
        Fiber* fiber = fibers + i;
        fiber->begun = false;
        fiber->turn = 0;
        fiber->index = uint3{i % block[0], i / block[0] % block[1], i / (block[0] * block[1])};
        getcontext(&fiber->start);
        fiber->start.uc_stack.ss_sp = stacks + (size_t)i * HOST_STACK;
        fiber->start.uc_stack.ss_size = HOST_STACK;
        fiber->start.uc_link = &host_context;
        makecontext(&fiber->start, fiber_main, 0);
    }
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) run_block(order);
    return 0;
}

// --- barriers and exchanges --------------------------------------------------------------------------------------

static void __syncthreads() { fiber_wait(AT_BLOCK, 0); }
static void __syncwarp(unsigned lanes = 0xffffffffu) { fiber_wait(AT_WARP, lanes); }

template <class T> T exchange(unsigned lanes, T value, int from) {
    static_assert(sizeof(T) <= 8, "shuffles take up to 8 bytes");
    Fiber* me = current;
    const int turn = me->turn, lane = (me - fibers) & 31, base = (int)(me - fibers) - lane;
    memcpy(&me->slots[turn], &value, sizeof(T));
    me->turn = !turn;
    fiber_wait(AT_WARP, lanes);
    if (from < 0 || from > 31) from = lane;
    if (!(lanes >> from & 1)) host_fail("a shuffle reads from a lane that is not in its mask");
    memcpy(&value, &fibers[base + from].slots[turn], sizeof(T));
    return value;
}
static int host_lane() { return (current - fibers) & 31; }
template <class T> T __shfl_sync(unsigned lanes, T v, int from) { return exchange(lanes, v, from); }
template <class T> T __shfl_xor_sync(unsigned lanes, T v, int mask) { return exchange(lanes, v, host_lane() ^ mask); }
template <class T> T __shfl_down_sync(unsigned lanes, T v, unsigned by) { return exchange(lanes, v, host_lane() + by); }
template <class T> T __shfl_up_sync(unsigned lanes, T v, unsigned by) { return exchange(lanes, v, host_lane() - (int)by); }
static unsigned __ballot_sync(unsigned lanes, int predicate) {
    unsigned bits = 0;
    for (int i = 0; i < 32; ++i) bits |= (unsigned)(exchange(lanes, predicate, i) != 0) << i;
    return bits;
}

template <class T> T atomicAdd(T* at, T by) { T old = *at; *at = old + by; return old; }
template <class T> T atomicMax(T* at, T by) { T old = *at; *at = old > by ? old : by; return old; }
template <class T> T atomicMin(T* at, T by) { T old = *at; *at = old < by ? old : by; return old; }
template <class T> T atomicExch(T* at, T by) { T old = *at; *at = by; return old; }
template <class T> T atomicCAS(T* at, T expected, T by) { T old = *at; if (old == expected) *at = by; return old; }
static void __threadfence() {}

// --- arithmetic --------------------------------------------------------------------------------------------------

template <class To, class From> To host_bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "sizes");
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}
static unsigned __float_as_uint(float x) { return host_bits<unsigned>(x); }
static int __float_as_int(float x) { return host_bits<int>(x); }
static float __uint_as_float(unsigned x) { return host_bits<float>(x); }
static float __int_as_float(int x) { return host_bits<float>(x); }
static long long __double_as_longlong(double x) { return host_bits<long long>(x); }
static double __longlong_as_double(long long x) { return host_bits<double>(x); }
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static float rsqrtf(float x) { return (float)(1 / sqrt((double)x)); }
static double rsqrt(double x) { return 1 / sqrt(x); }
static double host_turn(double x) { return x - 2 * floor(x / 2); }
static float sinpif(float x) { return (float)sin(M_PI * host_turn(x)); }
static float cospif(float x) { return (float)cos(M_PI * host_turn(x)); }
static double sinpi(double x) { return sin(M_PI * host_turn(x)); }
static double cospi(double x) { return cos(M_PI * host_turn(x)); }
static void sincospif(float x, float* s, float* c) { *s = sinpif(x); *c = cospif(x); }
static void sincospi(double x, double* s, double* c) { *s = sinpi(x); *c = cospi(x); }
static float __fdividef(float a, float b) { return a / b; }
static float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fadd_rn(float a, float b) { return a + b; }
static double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

static float host_half_to_float(unsigned short bits) {
    const unsigned sign = (unsigned)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) return (sign ? -1.f : 1.f) * ldexpf((float)fraction, -24);
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}
static unsigned short host_float_to_half(float x) {
    const unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000;
    if (x != x) return 0x7fff;
    const float size = fabsf(x);
    if (size == 0) return (unsigned short)sign;
    if (size >= 65520.f) return (unsigned short)(sign | 0x7c00);
    int exponent;
    frexpf(size, &exponent);                       // size = m 2^exponent, 1/2 <= m < 1
    const int step = exponent < -13 ? -24 : exponent - 11;  // of the last bit
    const float scaled = ldexpf(size, -step);      // exact; at most 2^11
    const unsigned n = (unsigned)nearbyintf(scaled);
    return (unsigned short)(sign | (step == -24 ? n : n + ((unsigned)(step + 24) << 10)));
}
