/* Pools of three by three pixels, padded by one, and the identity. */
#include <math.h>

#include "vectors.h"

INLINE bytes get_bytes(const uint8_t *from, long n) {
    bytes v = {0};
    if (n == LANES) memcpy(&v, from, sizeof v);
    else for (long i = 0; i < n; i++) v[i] = from[i];
    return v;
}
INLINE void put_bytes(uint8_t *to, bytes v, long n) {
    if (n == LANES) memcpy(to, &v, sizeof v);
    else for (long i = 0; i < n; i++) to[i] = v[i];
}

/* Numbers of a lane each as bytes, and back: where there is AVX2 alone, gcc goes from lane to lane. */
#if defined(__AVX2__) && !defined(__AVX512VL__) && !defined(STORE_FLOAT64)
INLINE bytes narrowed(mask v) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    return (bytes)_mm_cvtsi128_si64(_mm_packus_epi16(words, words));
}
INLINE mask widened(bytes v) { return (mask)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)v)); }
#else
INLINE bytes narrowed(mask v) { return __builtin_convertvector(v, bytes); }
INLINE mask widened(bytes v) { return __builtin_convertvector(v, mask); }
#endif

/* The images that are pooled, and `some` of the LANES channels of block `b`. */
typedef struct { long height, width, stride, b, some; const tensor *x; } windows;

/* Largest value (`at`: which of the nine) and mean under the window of pixel (r, c) of the output; `border`: some of it may lie outside. */
INLINE void look(const windows *v, long n, long r, long c, vec *largest, mask *at, vec *mean, const int border) {
    const store *from = (const store *)v->x->data + n * v->x->image + v->b * v->x->block;
    int inside = 0;
    *largest = (vec){0} - INFINITY, *at = (mask){0}, *mean = (vec){0};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            long row = r * v->stride + i - 1, column = c * v->stride + j - 1;
            if (border && (row < 0 || column < 0 || row >= v->height || column >= v->width)) continue;
            vec x = get(from + (row * v->width + column) * v->x->pixel, v->some);
            mask more = (x > *largest) | (x != x);
            *largest = (vec)(((mask)x & more) | ((mask)*largest & ~more));
            *at = (more & (i * 3 + j)) | (*at & ~more);
            *mean += x, inside++;
        }
    *mean /= (real)inside;
}

/* Largest value (`index`: which of the nine) and mean of the pixels inside; `sums` [2, 2, channels]: of both and of their squares. */
int pool(long threads, long images, long height, long width, long channels, long stride, const tensor *x, const tensor *largest,
         const tensor *mean, uint8_t *index, double *sums) {
    long h = (height + stride - 1) / stride, w = (width + stride - 1) / stride, count = 4 * channels;
    threads = fit(threads, images, 9.0 * images * h * w * channels);
    double *all = calloc(threads * count, sizeof(double));
    if (!all) return NO_MEMORY;
    EACH_THREAD EACH_IMAGE EACH_BLOCK {
        windows v = {height, width, stride, b, lanes(channels, b), x};
        for (long r = 0; r < h; r++) {
            vec sum[4] = {{0}}, best, average;
            mask at;
            for (long c = 0, p = r * w; c < w; c++, p++) {
                int border = r == 0 || c == 0 || r * stride + 1 >= height || c * stride + 1 >= width;
                if (border) look(&v, n, r, c, &best, &at, &average, 1);
                else look(&v, n, r, c, &best, &at, &average, 0);
                if (index) put_bytes(index + (n * h * w + p) * channels + first, narrowed(at), v.some);
                if (largest->data) put((store *)largest->data + n * largest->image + p * largest->pixel + b * largest->block, best, v.some);
                if (mean->data) put((store *)mean->data + n * mean->image + p * mean->pixel + b * mean->block, average, v.some);
                sum[0] += best, sum[1] += best * best, sum[2] += average, sum[3] += average * average;
            }
            for (int i = 0; i < 4; i++) add_sums(all + t * count + i * channels + first, sum[i], v.some);
        }
    }
    total(all, threads, count);
    memcpy(sums, all, count * sizeof(double));
    free(all);
    return 0;
}

/* Adds to `state_gradient` what comes back through both pools and the identity (stride 1): the gradient of each is
 * the sum over edges of rate[edge] * factor[image] * g, for the pools plus a * pool + b; `rates` [3, edges, channels], `of_pools`
 * [2, 2, channels]. */
int pool_back(long threads, long images, long height, long width, long channels, long stride, long edges, const tensor *g, const real *factor,
              const real *rates, const real *of_pools, const tensor *largest, const tensor *mean, const uint8_t *index, long identity,
              const tensor *state_gradient) {
    long h = (height + stride - 1) / stride, w = (width + stride - 1) / stride, row = width + 2, plane = row * (height + 2);
    threads = fit(threads, images, (double)images * h * w * channels * (9 + edges));
    size_t each = whole_lines(plane);
    vec *memory = memory_for(threads, each);
    if (!memory) return NO_MEMORY;
    EACH_THREAD {
        vec *back = memory + t * each;
        EACH_IMAGE EACH_BLOCK {
            long some = lanes(channels, b);
            vec tail[4];
            for (int i = 0; i < 4; i++) tail[i] = get_real(of_pools + i * channels + first, some);
            memset(back, 0, plane * sizeof(vec));
            for (long r = 0; r < h; r++) for (long c = 0; c < w; c++) {
                long p = r * w + c;
                vec through[3] = {{0}};
                for (long e = 0; e < edges; e++) {
                    vec v = get_real((const real *)g->data + n * g->image + p * g->pixel + e * g->edge + b * g->block, some);
                    for (int i = 0; i < 3; i++) through[i] += v * get_real(rates + (i * edges + e) * channels + first, some);
                }
                if (factor) for (int i = 0; i < 3; i++) through[i] *= factor[n];
                vec *at = back + r * stride * row + c * stride;
                if (identity) at[row + 1] += through[2];
                if (largest->data) {
                    const store *from = (const store *)largest->data + n * largest->image + p * largest->pixel + b * largest->block;
                    through[0] += tail[0] * get(from, some) + tail[1];
                    mask which = widened(get_bytes(index + (n * h * w + p) * channels + first, some));
                    for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) at[i * row + j] += where(which == i * 3 + j, through[0]);
                }
                if (mean->data) {
                    long rows = 3 - (r == 0) - (r * stride + 1 >= height), columns = 3 - (c == 0) - (c * stride + 1 >= width);
                    through[1] += tail[2] * get((const store *)mean->data + n * mean->image + p * mean->pixel + b * mean->block, some) + tail[3];
                    through[1] /= (real)(rows * columns);
                    for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) at[i * row + j] += through[1];
                }
            }
            for (long r = 0; r < height; r++) for (long c = 0; c < width; c++) {
                real *to = (real *)state_gradient->data + n * state_gradient->image + b * state_gradient->block;
                to += (r * width + c) * state_gradient->pixel;
                put_real(to, get_real(to, some) + back[(r + 1) * row + c + 1], some);
            }
        }
    }
    return 0;
}
