#pragma once
/* What the kernels share: compiled by spaces/compiled.py on first use. Those of winograd.c are described there; the others are what a DARTS
 * cell consists of, each in one pass over memory.
 *
 * Tensors are [images, height, width, edges, channels] with a distance between images, pixels, edges (0: all edges read the same) and blocks
 * of LANES channels, so that a slice of a wider tensor is one too, and so are slices that lie apart from one another, taken as one tensor.
 * They are stored as `store`, computed with and summed as `real`. One image at a time is worked on in a thread's own memory, in planes of
 * LANES channels: what lies between two passes stays in the cache, where maps are as small as those of CIFAR-10. Sums over a batch go by
 * image within a thread and then by thread, so the same number of threads gives the same result. Each kernel returns 0, or NO_MEMORY.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LANES 8 /* as in spaces/cell_kernels.py */
#define NO_MEMORY 1
#define TILE 128 /* pixels that are summed at a time */
#define INLINE static inline __attribute__((always_inline))
#define EACH_THREAD _Pragma("omp parallel for num_threads(threads) schedule(static, 1)") for (long t = 0; t < threads; t++)
#define EACH_IMAGE for (long n = t * images / threads; n < (t + 1) * images / threads; n++)
#define EACH_BLOCK for (long b = 0, first; (first = b * LANES) < channels; b++) /* of LANES channels, of which it is the `first` */

#if defined(STORE_FLOAT64)
typedef double real;
typedef double store;
typedef int64_t mask __attribute__((vector_size(LANES * 8)));
#else
typedef float real;
typedef int32_t mask __attribute__((vector_size(LANES * 4)));
#if defined(STORE_BFLOAT16)
typedef uint16_t store;
#else
typedef float store;
#endif
#endif
typedef real vec __attribute__((vector_size(LANES * sizeof(real))));
typedef uint8_t bytes __attribute__((vector_size(LANES)));

/* A tensor as the caller sees it: distances in elements from one image, pixel, edge and block of LANES channels to the next. */
typedef struct { void *data; long image, pixel, edge, block; } tensor;

/* ---- loads and stores: `n` of LANES channels, the others are 0 ---- */

/* The rare last lanes of a tensor are dealt with apart, or the compiler would keep every vector in memory. */
#define APART static __attribute__((noinline, cold, unused))
APART vec get_some_real(const real *from, long n) {
    vec v = {0};
    for (long i = 0; i < n; i++) v[i] = from[i];
    return v;
}
APART void put_some_real(real *to, vec v, long n) { for (long i = 0; i < n; i++) to[i] = v[i]; }
typedef real half __attribute__((vector_size(LANES / 2 * sizeof(real)))); /* four channels are no rare case */
INLINE vec get_real(const real *from, long n) {
    if (__builtin_expect(n == LANES, 1)) {
        vec v;
        memcpy(&v, from, sizeof v);
        return v;
    }
    if (n != LANES / 2) return get_some_real(from, n);
    half h;
    memcpy(&h, from, sizeof h);
    return (vec){h[0], h[1], h[2], h[3]};
}
INLINE void put_real(real *to, vec v, long n) {
    if (__builtin_expect(n == LANES, 1)) memcpy(to, &v, sizeof v);
    else if (n == LANES / 2) {
        half h = {v[0], v[1], v[2], v[3]};
        memcpy(to, &h, sizeof h);
    } else put_some_real(to, v, n);
}
#if defined(STORE_BFLOAT16)
typedef uint16_t halves __attribute__((vector_size(LANES * 2)));
typedef uint32_t words __attribute__((vector_size(LANES * 4)));
APART halves get_some(const store *from, long n) {
    halves h = {0};
    for (long i = 0; i < n; i++) h[i] = from[i];
    return h;
}
APART void put_some(store *to, halves h, long n) { for (long i = 0; i < n; i++) to[i] = h[i]; }
typedef uint64_t quarters __attribute__((vector_size(16)));
INLINE vec get(const store *from, long n) {
    halves h;
    if (__builtin_expect(n == LANES, 1)) memcpy(&h, from, sizeof h);
    else if (n == LANES / 2) {
        uint64_t low;
        memcpy(&low, from, sizeof low);
        h = (halves)(quarters){low, 0};
    } else h = get_some(from, n);
#if defined(__AVX2__) /* gcc widens such a vector in halves */
    return (vec)((words)_mm256_cvtepu16_epi32((__m128i)h) << 16);
#else
    return (vec)(__builtin_convertvector(h, words) << 16);
#endif
}
INLINE void put(store *to, vec v, long n) { /* to the nearest, ties to even; what is no number stays none, and what is below 1e-38 may count as 0 */
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
    halves h = (halves)_mm256_cvtneps_pbh((__m256)v);
#else
    words u = (words)v, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, none = (words)(v != v);
    halves h = __builtin_convertvector((rounded & ~none) | (none & 0x7fc0), halves);
#endif
    if (__builtin_expect(n == LANES, 1)) memcpy(to, &h, sizeof h);
    else if (n == LANES / 2) {
        uint64_t low = ((quarters)h)[0];
        memcpy(to, &low, sizeof low);
    } else put_some(to, h, n);
}
#else
INLINE vec get(const store *from, long n) { return get_real(from, n); }
INLINE void put(store *to, vec v, long n) { put_real(to, v, n); }
#endif
INLINE long lanes(long channels, long block) { return channels - block * LANES < LANES ? channels - block * LANES : LANES; }
INLINE vec where(mask condition, vec v) { return (vec)((mask)v & condition); }
INLINE vec rectified(vec v) { return where(~(v <= (vec){0}), v); } /* what is no number stays none, as in torch */

/* ---- memory of a thread's own, and sums over threads ---- */

/* It belongs to the thread that calls a kernel: OpenMP ends and starts the others as their number changes, and what they owned would be lost. */
static __thread vec *kept_memory;
static __thread size_t kept_size;

/* Vectors that no two threads share a cache line of. */
static inline size_t whole_lines(size_t vectors) { return (vectors + 1) / 2 * 2; }
/* Room for `threads` times `each` vectors, until the next call; NULL where there is no memory for it. */
static inline vec *memory_for(long threads, size_t each) {
    size_t vectors = threads * each;
    if (vectors > kept_size) {
        free(kept_memory);
        kept_memory = aligned_alloc(64, (vectors * sizeof(vec) + 63) / 64 * 64);
        kept_size = kept_memory ? vectors : 0;
    }
    return kept_memory;
}
/* As many threads as the work is worth, in multiply-adds. Half a million of them take some 10 us, as long as it takes to wake a thread; on a
 * machine that other work shares a thread that is waited for takes a thousand times as long. */
static inline long fit(long threads, long images, double work) {
    long most = work / 500000 < images ? (long)(work / 500000) : images;
    return threads < most ? threads : most < 1 ? 1 : most;
}
INLINE void add_sums(double *to, vec v, long n) {
    if (__builtin_expect(n == LANES, 1)) for (int i = 0; i < LANES; i++) to[i] += v[i]; /* at once */
    else for (long i = 0; i < n; i++) to[i] += v[i];
}
static inline void total(double *all, long threads, long count) {
    for (long t = 1; t < threads; t++) for (long i = 0; i < count; i++) all[i] += all[t * count + i];
}
