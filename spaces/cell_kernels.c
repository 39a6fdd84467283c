/* What a DARTS cell consists of, over images in memory, each in one pass over memory: compiled by spaces/compiled.py on first use.
 *
 * Tensors are [images, height, width, edges, channels] with a distance between images, pixels and edges (0: all edges read the same), so
 * that a slice of a wider tensor is one too. They are stored as `store`, computed with and summed as `real`. One image at a time is worked
 * on in a thread's own memory, in planes of LANES channels: what lies between two passes never leaves the cache. Sums over a batch go by
 * image within a thread and then by thread, so the same number of threads gives the same result.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LANES 8
#define TILE 128 /* pixels that are summed at a time */
#define INLINE static inline __attribute__((always_inline))
#define EACH_THREAD _Pragma("omp parallel for num_threads(threads) schedule(static, 1)") for (long t = 0; t < threads; t++)
#define EACH_STRIP for (long r = 0, rows, some_pixels; r < z->out_height && (rows = z->out_height - r < z->rows ? z->out_height - r : z->rows, \
                        some_pixels = rows * z->out_width); r += rows)
#define EACH_IMAGE for (long n = t * images / threads; n < (t + 1) * images / threads; n++)

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

/* A tensor as the caller sees it: distances in elements from one image, pixel and edge to the next. */
typedef struct { void *data; long image, pixel, edge; } tensor;

/* ---- loads and stores: `n` of LANES channels, the others are 0 ---- */

/* The rare last lanes of a tensor are dealt with apart, or the compiler would keep every vector in memory. */
#define APART static __attribute__((noinline, cold))
APART vec get_some_real(const real *from, long n) {
    vec v = {0};
    for (long i = 0; i < n; i++) v[i] = from[i];
    return v;
}
APART void put_some_real(real *to, vec v, long n) { for (long i = 0; i < n; i++) to[i] = v[i]; }
INLINE vec get_real(const real *from, long n) {
    vec v;
    if (__builtin_expect(n != LANES, 0)) return get_some_real(from, n);
    memcpy(&v, from, sizeof v);
    return v;
}
INLINE void put_real(real *to, vec v, long n) {
    if (__builtin_expect(n != LANES, 0)) put_some_real(to, v, n);
    else memcpy(to, &v, sizeof v);
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
INLINE vec get(const store *from, long n) {
    halves h;
    if (__builtin_expect(n != LANES, 0)) h = get_some(from, n);
    else memcpy(&h, from, sizeof h);
#if defined(__AVX2__) /* gcc widens such a vector in halves */
    return (vec)((words)_mm256_cvtepu16_epi32((__m128i)h) << 16);
#else
    return (vec)(__builtin_convertvector(h, words) << 16);
#endif
}
INLINE void put(store *to, vec v, long n) { /* to the nearest, ties to even; what is no number stays none */
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
    halves h = (halves)_mm256_cvtneps_pbh((__m256)v);
#else
    words u = (words)v, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16, none = (words)(v != v);
    halves h = __builtin_convertvector((rounded & ~none) | (none & 0x7fc0), halves);
#endif
    if (__builtin_expect(n != LANES, 0)) put_some(to, h, n);
    else memcpy(to, &h, sizeof h);
}
#else
INLINE vec get(const store *from, long n) { return get_real(from, n); }
INLINE void put(store *to, vec v, long n) { put_real(to, v, n); }
#endif
INLINE long lanes(long channels, long block) { return channels - block * LANES < LANES ? channels - block * LANES : LANES; }
INLINE vec where(mask condition, vec v) { return (vec)((mask)v & condition); }
INLINE vec rectified(vec v) { return where(~(v <= (vec){0}), v); } /* what is no number stays none, as in torch */

/* ---- memory of a thread's own, and sums over threads ---- */

static __thread vec *own_memory;
static __thread size_t own_size;

static vec *own(size_t vectors) {
    if (vectors > own_size) {
        free(own_memory);
        own_memory = aligned_alloc(64, (vectors * sizeof(vec) + 63) / 64 * 64);
        own_size = own_memory ? vectors : 0;
    }
    return own_memory;
}
/* As many threads as the work is worth, in multiply-adds: to start one costs as much as some ten thousand of them. */
static long fit(long threads, long images, double work) {
    long most = work / 500000 < images ? (long)(work / 500000) : images;
    return threads < most ? threads : most < 1 ? 1 : most;
}
static void add_sums(double *to, vec v, long n) { for (long i = 0; i < n; i++) to[i] += v[i]; }
static void total(double *all, long threads, long count) {
    for (long t = 1; t < threads; t++) for (long i = 0; i < count; i++) all[i] += all[t * count + i];
}

/* ---- convolutions of one image, plane by plane ---- */

/* A convolution: ReLU of scale * x + shift, depthwise convolution (none where size is 0), pointwise convolution. */
typedef struct { long edges, images, height, width, channels_in, channels_out, size, dilation, stride; } shape;
/* `row` and `plane` with the margin; a strip is as many rows of the output as are worked on at a time, so that they stay in the cache. */
typedef struct { long in_blocks, out_blocks, out_height, out_width, pixels, margin, row, plane, taps, rows, strip; } sizes;

static sizes sizes_of(const shape *s) {
    sizes z;
    z.in_blocks = (s->channels_in + LANES - 1) / LANES;
    z.out_blocks = (s->channels_out + LANES - 1) / LANES;
    z.out_height = (s->height + s->stride - 1) / s->stride;
    z.out_width = (s->width + s->stride - 1) / s->stride;
    z.pixels = z.out_height * z.out_width;
    z.margin = s->dilation * (s->size / 2);
    z.row = s->width + 2 * z.margin + 1;
    z.plane = z.row * (s->height + 2 * z.margin + 1);
    z.taps = s->size * s->size;
    z.rows = z.out_width < 64 ? 64 / z.out_width : 1;
    if (z.rows > z.out_height) z.rows = z.out_height;
    z.strip = z.rows * z.out_width;
    return z;
}

static double work_of(const shape *s, const sizes *z) {
    return (double)s->edges * s->images * z->pixels * s->channels_in * (z->taps + s->channels_out);
}

INLINE void slide(const vec *in, long in_row, const vec *kernel, vec *out, long out_row, long h, long w, const int K, const int D, const int S) {
    vec k[25];
    for (int i = 0; i < K * K; i++) k[i] = kernel[i];
    for (long r = 0; r < h; r++)
        for (long c = 0; c < w; c++) {
            const vec *at = in + r * S * in_row + c * S;
            vec sum = {0};
            for (int i = 0; i < K; i++) for (int j = 0; j < K; j++) sum += k[i * K + j] * at[i * D * in_row + j * D];
            out[r * out_row + c] = sum;
        }
}
INLINE void slide_kernel(const vec *in, long in_row, vec *kernel, const vec *g, long g_row, long h, long w, const int K, const int D, const int S) {
    vec k[25];
    for (int i = 0; i < K * K; i++) k[i] = kernel[i];
    for (long r = 0; r < h; r++)
        for (long c = 0; c < w; c++) {
            const vec *at = in + r * S * in_row + c * S;
            for (int i = 0; i < K; i++) for (int j = 0; j < K; j++) k[i * K + j] += g[r * g_row + c] * at[i * D * in_row + j * D];
        }
    for (int i = 0; i < K * K; i++) kernel[i] = k[i];
}
INLINE void slide_back(vec *in, long in_row, const vec *kernel, const vec *g, long g_row, long h, long w, const int K, const int D, const int S) {
    for (long r = 0; r < h; r++)
        for (long c = 0; c < w; c++) {
            vec *at = in + r * S * in_row + c * S, v = g[r * g_row + c];
            for (int i = 0; i < K; i++) for (int j = 0; j < K; j++) at[i * D * in_row + j * D] += v * kernel[i * K + j];
        }
}
/* Each kind of kernel compiled by itself, so that its taps stay in registers. */
#define BY_KIND(f, ...) switch (s->size * 100 + s->dilation * 10 + s->stride) { \
    case 311: f(__VA_ARGS__, 3, 1, 1); break; case 312: f(__VA_ARGS__, 3, 1, 2); break; \
    case 321: f(__VA_ARGS__, 3, 2, 1); break; case 322: f(__VA_ARGS__, 3, 2, 2); break; \
    case 511: f(__VA_ARGS__, 5, 1, 1); break; case 512: f(__VA_ARGS__, 5, 1, 2); break; \
    case 521: f(__VA_ARGS__, 5, 2, 1); break; case 522: f(__VA_ARGS__, 5, 2, 2); break; }

static void depthwise(const shape *s, long h, long w, const vec *in, long in_row, const vec *kernel, vec *out, long out_row) {
    BY_KIND(slide, in, in_row, kernel, out, out_row, h, w)
}
static void depthwise_kernel(const shape *s, long h, long w, const vec *in, long in_row, vec *kernel, const vec *g, long g_row) {
    BY_KIND(slide_kernel, in, in_row, kernel, g, g_row, h, w)
}
static void depthwise_back(const shape *s, long h, long w, vec *in, long in_row, const vec *kernel, const vec *g, long g_row) {
    BY_KIND(slide_back, in, in_row, kernel, g, g_row, h, w)
}

INLINE void several(const vec *in, long in_plane, long ins, const vec *weight, vec *out, long out_plane, long outs, const int Q) {
    for (long o = 0; o < outs; o++) {
        vec sum[8];
        for (int q = 0; q < Q; q++) sum[q] = (vec){0};
        for (long i = 0; i < ins; i++)
            for (int lane = 0; lane < LANES; lane++) {
                vec w = weight[(i * LANES + lane) * outs + o];
                for (int q = 0; q < Q; q++) sum[q] += in[i * in_plane + q][lane] * w;
            }
        for (int q = 0; q < Q; q++) out[o * out_plane + q] = sum[q];
    }
}
/* A matrix `weight` [ins * LANES, outs] of vectors over the pixels of `h` rows of `w`. */
static void pointwise(const vec *in, long in_row, long in_plane, long ins, const vec *weight, vec *out, long out_row, long out_plane, long outs, long h, long w) {
    for (long r = 0; r < h; r++) {
        long c = 0;
        for (; c + 8 <= w; c += 8) several(in + r * in_row + c, in_plane, ins, weight, out + r * out_row + c, out_plane, outs, 8);
        for (; c < w; c++) several(in + r * in_row + c, in_plane, ins, weight, out + r * out_row + c, out_plane, outs, 1);
    }
}
/* weight += in^T g, both [blocks, rows of `w` pixels]. */
static void pointwise_kernel(const vec *in, long in_row, long in_plane, long ins, const vec *g, long outs, vec *weight, long h, long w) {
    for (long i = 0; i < ins; i++)
        for (long o = 0; o < outs; o++) {
            vec sum[LANES];
            for (int l = 0; l < LANES; l++) sum[l] = weight[(i * LANES + l) * outs + o];
            for (long r = 0; r < h; r++)
                for (long c = 0; c < w; c++) {
                    vec v = g[o * h * w + r * w + c];
                    for (int l = 0; l < LANES; l++) sum[l] += in[i * in_plane + r * in_row + c][l] * v;
                }
            for (int l = 0; l < LANES; l++) weight[(i * LANES + l) * outs + o] = sum[l];
        }
}

/* The kernels of all edges, [edges, channels, taps] and [edges, out, in] as torch has them, in vectors; flipped and transposed too. */
typedef struct { vec *memory, *taps, *flipped, *matrix, *transposed; } weights;

static weights pack(const shape *s, const sizes *z, const real *taps, const real *matrix) {
    long ins = z->in_blocks, outs = z->out_blocks, of_taps = s->edges * ins * z->taps, of_matrix = s->edges * ins * LANES * outs, of_back = s->edges * outs * LANES * ins;
    weights k;
    k.memory = aligned_alloc(64, ((2 * of_taps + of_matrix + of_back) * sizeof(vec) + 63) / 64 * 64);
    memset(k.memory, 0, (2 * of_taps + of_matrix + of_back) * sizeof(vec));
    k.taps = k.memory, k.flipped = k.taps + of_taps, k.matrix = k.flipped + of_taps, k.transposed = k.matrix + of_matrix;
    for (long e = 0; e < s->edges; e++) {
        for (long c = 0; c < s->channels_in; c++)
            for (long i = 0; i < z->taps; i++) {
                real value = taps[(e * s->channels_in + c) * z->taps + i];
                k.taps[(e * ins + c / LANES) * z->taps + i][c % LANES] = value;
                k.flipped[(e * ins + c / LANES) * z->taps + z->taps - 1 - i][c % LANES] = value;
            }
        for (long o = 0; o < s->channels_out; o++)
            for (long c = 0; c < s->channels_in; c++) {
                real value = matrix[(e * s->channels_out + o) * s->channels_in + c];
                k.matrix[(e * ins * LANES + c) * outs + o / LANES][o % LANES] = value;
                k.transposed[(e * outs * LANES + o) * ins + c / LANES][c % LANES] = value;
            }
    }
    return k;
}

/* The ReLU of scale * x + shift, into planes whose margins are zeros and stay so. */
static void read_image(const shape *s, const sizes *z, const tensor *x, long n, long e, const real *scale, const real *shift, vec *padded) {
    for (long b = 0; b < z->in_blocks; b++) {
        long some = lanes(s->channels_in, b);
        vec a = {0}, d = {0};
        if (scale) a = get_real(scale + e * s->channels_in + b * LANES, some), d = get_real(shift + e * s->channels_in + b * LANES, some);
        for (long r = 0; r < s->height; r++) {
            vec *row = padded + b * z->plane + (r + z->margin) * z->row + z->margin;
            const store *from = (const store *)x->data + n * x->image + r * s->width * x->pixel + e * x->edge + b * LANES;
            if (scale) for (long c = 0; c < s->width; c++) row[c] = rectified(get(from + c * x->pixel, some) * a + d);
            else for (long c = 0; c < s->width; c++) row[c] = rectified(get(from + c * x->pixel, some));
        }
    }
}

/* y = pointwise(depthwise(relu(scale * x + shift))); `sums` [edges, 2, out]: of y and of its squares, over batch and pixels. */
int convolve(long threads, const shape *s, const tensor *x, const real *scale, const real *shift, const real *taps, const real *matrix,
             const tensor *y, double *sums) {
    sizes z_ = sizes_of(s), *z = &z_;
    long images = s->images, ins = z->in_blocks, outs = z->out_blocks, count = s->edges * 2 * s->channels_out;
    threads = fit(threads, images, work_of(s, z));
    weights k = pack(s, z, taps, matrix);
    double *all = calloc(threads * count, sizeof(double));
    EACH_THREAD {
        vec *in = own(ins * (z->plane + z->strip) + outs * z->strip), *mid = in + ins * z->plane, *out = mid + ins * z->strip;
        memset(in, 0, ins * z->plane * sizeof(vec));
        EACH_IMAGE for (long e = 0; e < s->edges; e++) {
            const vec *matrix_of = k.matrix + e * ins * LANES * outs;
            double *mine = all + t * count + e * 2 * s->channels_out;
            if (e == 0 || x->edge || scale) read_image(s, z, x, n, e, scale, shift, in);
            EACH_STRIP {
                if (s->size) {
                    for (long b = 0; b < ins; b++)
                        depthwise(s, rows, z->out_width, in + b * z->plane + r * s->stride * z->row, z->row, k.taps + (e * ins + b) * z->taps, mid + b * some_pixels, z->out_width);
                    pointwise(mid, 0, some_pixels, ins, matrix_of, out, 0, some_pixels, outs, 1, some_pixels);
                } else pointwise(in + r * z->row, z->row, z->plane, ins, matrix_of, out, z->out_width, some_pixels, outs, rows, z->out_width);
                for (long b = 0; b < outs; b++) {
                    vec sum = {0}, square = {0};
                    long some = lanes(s->channels_out, b);
                    store *to = (store *)y->data + n * y->image + r * z->out_width * y->pixel + e * y->edge + b * LANES;
                    for (long p = 0; p < some_pixels; p++, to += y->pixel) {
                        vec v = out[b * some_pixels + p];
                        sum += v, square += v * v;
                        put(to, v, some);
                    }
                    add_sums(mine + b * LANES, sum, some), add_sums(mine + s->channels_out + b * LANES, square, some);
                }
            }
        }
    }
    total(all, threads, count);
    memcpy(sums, all, count * sizeof(double));
    free(all), free(k.memory);
    return 0;
}

/* The gradients of `convolve`, given that of y as rate[0] * factor[image] * g + rate[1] * y + rate[2], `rates` [edges, 3, out].
 *
 * Either `x_gradient`, of scale * x + shift on every edge, is put, with `sums` [edges, 2, in] of it and of it times x; or `state_gradient`,
 * which has no edges, is added to. `taps_gradient` and `matrix_gradient` may be NULL: then they are not computed. Gradients are real.
 */
int convolve_back(long threads, const shape *s, const tensor *x, const real *scale, const real *shift, const real *taps, const real *matrix,
                  const tensor *g, const real *factor, const tensor *y, const real *rates, const tensor *x_gradient,
                  const tensor *state_gradient, double *sums, real *taps_gradient, real *matrix_gradient) {
    sizes z_ = sizes_of(s), *z = &z_;
    long images = s->images, ins = z->in_blocks, outs = z->out_blocks, area = s->height * s->width, count = s->edges * 2 * s->channels_in;
    threads = fit(threads, images, 2 * work_of(s, z));
    int gathers = s->size && s->stride == 1, learns = matrix_gradient != NULL, goes_on = x_gradient->data || state_gradient->data;
    long d_row = gathers ? z->row : z->out_width, d_plane = gathers ? z->plane : z->pixels, d_first = gathers ? z->margin * z->row + z->margin : 0;
    long of_taps = s->edges * ins * z->taps, of_all = of_taps + s->edges * ins * LANES * outs;
    weights k = pack(s, z, taps, matrix);
    vec *learnt = learns ? aligned_alloc(64, (threads * of_all * sizeof(vec) + 63) / 64 * 64) : NULL;
    if (learns) memset(learnt, 0, threads * of_all * sizeof(vec));
    double *all = calloc(threads * count, sizeof(double));
    EACH_THREAD {
        vec *in = own(ins * (2 * z->plane + d_plane + z->strip + 2 * area) + outs * z->strip), *back = in + ins * z->plane;
        vec *d = back + ins * z->plane, *mid = d + ins * d_plane, *gx = mid + ins * z->strip, *sum_gx = gx + ins * area, *gy = sum_gx + ins * area;
        vec *my_taps = learnt + t * of_all, *my_matrix = my_taps + of_taps;
        memset(in, 0, ins * z->plane * sizeof(vec)), memset(d, 0, ins * d_plane * sizeof(vec));
        EACH_IMAGE for (long e = 0; e < s->edges; e++) {
            const vec *kernel = k.taps + e * ins * z->taps, *flipped = k.flipped + e * ins * z->taps;
            if (e == 0 || x->edge || scale) read_image(s, z, x, n, e, scale, shift, in);
            EACH_STRIP {
                for (long b = 0; b < outs; b++) {
                    long some = lanes(s->channels_out, b);
                    const real *rate = rates + e * 3 * s->channels_out + b * LANES;
                    vec a = get_real(rate, some), of_y = get_real(rate + s->channels_out, some), rest = get_real(rate + 2 * s->channels_out, some);
                    if (factor) a *= factor[n];
                    const real *from = (const real *)g->data + n * g->image + r * z->out_width * g->pixel + e * g->edge + b * LANES;
                    const store *ys = (const store *)y->data + n * y->image + r * z->out_width * y->pixel + e * y->edge + b * LANES;
                    for (long p = 0; p < some_pixels; p++) gy[b * some_pixels + p] = get_real(from + p * g->pixel, some) * a + get(ys + p * y->pixel, some) * of_y + rest;
                }
                if (learns && s->size) {
                    for (long b = 0; b < ins; b++)
                        depthwise(s, rows, z->out_width, in + b * z->plane + r * s->stride * z->row, z->row, kernel + b * z->taps, mid + b * some_pixels, z->out_width);
                    pointwise_kernel(mid, z->out_width, some_pixels, ins, gy, outs, my_matrix + e * ins * LANES * outs, rows, z->out_width);
                } else if (learns) pointwise_kernel(in + r * z->row, z->row, z->plane, ins, gy, outs, my_matrix + e * ins * LANES * outs, rows, z->out_width);
                if (!goes_on && !(learns && s->size)) continue;
                vec *mine = d + d_first + r * d_row;
                pointwise(gy, z->out_width, some_pixels, outs, k.transposed + e * outs * LANES * ins, mine, d_row, d_plane, ins, rows, z->out_width);
                for (long b = 0; learns && s->size && b < ins; b++)
                    depthwise_kernel(s, rows, z->out_width, in + b * z->plane + r * s->stride * z->row, z->row, my_taps + (e * ins + b) * z->taps, mine + b * d_plane, d_row);
            }
            for (long b = 0; goes_on && b < ins; b++) {
                vec *result = d + b * d_plane;
                long row = d_row;
                if (gathers) {
                    result = gx + b * area, row = s->width;
                    depthwise(s, s->height, s->width, d + b * d_plane, z->row, flipped + b * z->taps, result, row);
                } else if (s->size) {
                    result = back + b * z->plane, row = z->row;
                    memset(result, 0, z->plane * sizeof(vec));
                    depthwise_back(s, z->out_height, z->out_width, result, row, kernel + b * z->taps, d + b * d_plane, d_row);
                    result += z->margin * z->row + z->margin;
                }
                const vec *active = in + b * z->plane + z->margin * z->row + z->margin;
                long some = lanes(s->channels_in, b);
                if (state_gradient->data) {
                    vec *sum = sum_gx + b * area;
                    for (long r = 0; r < s->height; r++) for (long c = 0; c < s->width; c++) sum[r * s->width + c] = result[r * row + c] + (e ? sum[r * s->width + c] : (vec){0});
                    if (e < s->edges - 1) continue;
                    real *to = (real *)state_gradient->data + n * state_gradient->image + b * LANES;
                    for (long r = 0; r < s->height; r++) for (long c = 0; c < s->width; c++, to += state_gradient->pixel)
                        put_real(to, get_real(to, some) + where(active[r * z->row + c] > (vec){0}, sum[r * s->width + c]), some);
                } else {
                    vec sum = {0}, product = {0};
                    const store *xs = (const store *)x->data + n * x->image + e * x->edge + b * LANES;
                    real *to = (real *)x_gradient->data + n * x_gradient->image + e * x_gradient->edge + b * LANES;
                    for (long r = 0; r < s->height; r++) for (long c = 0; c < s->width; c++, xs += x->pixel, to += x_gradient->pixel) {
                        vec v = where(active[r * z->row + c] > (vec){0}, result[r * row + c]);
                        sum += v, product += v * get(xs, some);
                        put_real(to, v, some);
                    }
                    double *mine_sums = all + t * count + e * 2 * s->channels_in + b * LANES;
                    add_sums(mine_sums, sum, some), add_sums(mine_sums + s->channels_in, product, some);
                }
            }
        }
    }
    total(all, threads, count);
    if (sums) memcpy(sums, all, count * sizeof(double));
    for (long t = 1; learns && t < threads; t++) for (long i = 0; i < of_all; i++) learnt[i] += learnt[t * of_all + i];
    for (long e = 0; learns && e < s->edges; e++)
        for (long c = 0; c < s->channels_in; c++) {
            for (long i = 0; i < z->taps; i++) taps_gradient[(e * s->channels_in + c) * z->taps + i] = learnt[(e * ins + c / LANES) * z->taps + i][c % LANES];
            for (long o = 0; o < s->channels_out; o++)
                matrix_gradient[(e * s->channels_out + o) * s->channels_in + c] = learnt[of_taps + (e * ins * LANES + c) * outs + o / LANES][o % LANES];
        }
    free(all), free(learnt), free(k.memory);
    return 0;
}

/* ---- sums of sources on edges ---- */

/* y (+)= sum over sources of factor[source, image] * (scale[source, edge, channel] * x[source] + shift[source, edge, channel]). */
int mix(long threads, long images, long pixels, long edges, long channels, long sources, const tensor *x, const real *scale, const real *shift,
        const real *factor, const tensor *y, long adds) {
    threads = fit(threads, images, (double)images * pixels * edges * channels * sources);
    EACH_THREAD EACH_IMAGE for (long e = 0; e < edges; e++) for (long first = 0; first < channels; first += LANES) {
        long some = lanes(channels, first / LANES);
        vec d = {0}, sum[TILE];
        for (long i = 0; i < sources; i++) d += get_real(shift + (i * edges + e) * channels + first, some) * (factor ? factor[i * images + n] : 1);
        for (long begin = 0; begin < pixels; begin += TILE) {
            long end = pixels - begin < TILE ? pixels - begin : TILE;
            store *to = (store *)y->data + n * y->image + begin * y->pixel + e * y->edge + first;
            for (long p = 0; p < end; p++) sum[p] = adds ? get(to + p * y->pixel, some) + d : d;
            for (long i = 0; i < sources; i++) {
                vec a = get_real(scale + (i * edges + e) * channels + first, some) * (factor ? factor[i * images + n] : 1);
                const store *from = (const store *)x[i].data + n * x[i].image + begin * x[i].pixel + e * x[i].edge + first;
                for (long p = 0; p < end; p++) sum[p] += a * get(from + p * x[i].pixel, some);
            }
            for (long p = 0; p < end; p++) put(to + p * y->pixel, sum[p], some);
        }
    }
    return 0;
}

/* Sums over batch and pixels of factor * g * x for every source, [sources, edges, channels], and of factor * g, of the same size. */
int products(long threads, long images, long pixels, long edges, long channels, long sources, const tensor *x, const tensor *g,
             const real *factor, double *sums) {
    long count = 2 * sources * edges * channels;
    threads = fit(threads, images, (double)images * pixels * edges * channels * sources);
    double *all = calloc(threads * count, sizeof(double));
    EACH_THREAD EACH_IMAGE for (long e = 0; e < edges; e++) for (long first = 0; first < channels; first += LANES) {
        long some = lanes(channels, first / LANES);
        double *mine = all + t * count + e * channels + first;
        for (long begin = 0; begin < pixels; begin += TILE) {
            long end = pixels - begin < TILE ? pixels - begin : TILE;
            const real *gs = (const real *)g->data + n * g->image + begin * g->pixel + e * g->edge + first;
            vec tile[TILE], plain = {0};
            for (long p = 0; p < end; p++) tile[p] = get_real(gs + p * g->pixel, some), plain += tile[p];
            for (long i = 0; i < sources; i++) {
                const store *from = (const store *)x[i].data + n * x[i].image + begin * x[i].pixel + e * x[i].edge + first;
                vec sum = {0}, other = {0};
                long p = 0;
                for (; p + 2 <= end; p += 2) sum += tile[p] * get(from + p * x[i].pixel, some), other += tile[p + 1] * get(from + (p + 1) * x[i].pixel, some);
                if (p < end) sum += tile[p] * get(from + p * x[i].pixel, some);
                real f = factor ? factor[i * images + n] : 1;
                add_sums(mine + i * edges * channels, (sum + other) * f, some), add_sums(mine + count / 2 + i * edges * channels, plain * f, some);
            }
        }
    }
    total(all, threads, count);
    memcpy(sums, all, count * sizeof(double));
    free(all);
    return 0;
}

/* ---- pools of three by three, padded by one, and the identity ---- */

/* Largest value (`index`: which of the nine) and mean of the pixels inside; `sums` [2, 2, channels]: of both and of their squares. */
int pool(long threads, long images, long height, long width, long channels, long stride, const tensor *x, const tensor *largest,
         const tensor *mean, uint8_t *index, double *sums) {
    long h = (height + stride - 1) / stride, w = (width + stride - 1) / stride, count = 4 * channels;
    threads = fit(threads, images, 9.0 * images * h * w * channels);
    double *all = calloc(threads * count, sizeof(double));
    EACH_THREAD EACH_IMAGE for (long first = 0; first < channels; first += LANES) {
        long some = lanes(channels, first / LANES);
        vec sum[4] = {{0}};
        const store *from = (const store *)x->data + n * x->image + first;
        for (long r = 0; r < h; r++) for (long c = 0; c < w; c++) {
            vec best = (vec){0} - INFINITY, all_of = {0};
            mask at = {0};
            int inside = 0;
            for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) {
                long row = r * stride + i - 1, column = c * stride + j - 1;
                if (row < 0 || column < 0 || row >= height || column >= width) continue;
                vec v = get(from + (row * width + column) * x->pixel, some);
                mask more = (v > best) | (v != v);
                best = (vec)(((mask)v & more) | ((mask)best & ~more));
                at = (more & (i * 3 + j)) | (at & ~more);
                all_of += v, inside++;
            }
            all_of /= (real)inside;
            long p = r * w + c;
            if (index) {
                bytes narrow = __builtin_convertvector(at, bytes);
                memcpy(index + (n * h * w + p) * channels + first, &narrow, some);
            }
            if (largest->data) put((store *)largest->data + n * largest->image + p * largest->pixel + first, best, some);
            if (mean->data) put((store *)mean->data + n * mean->image + p * mean->pixel + first, all_of, some);
            sum[0] += best, sum[1] += best * best, sum[2] += all_of, sum[3] += all_of * all_of;
        }
        for (int i = 0; i < 4; i++) add_sums(all + t * count + i * channels + first, sum[i], some);
    }
    total(all, threads, count);
    memcpy(sums, all, count * sizeof(double));
    free(all);
    return 0;
}

/* Adds to `state_gradient` what comes back through both pools and the identity (stride 1): the gradient of each is
 * the sum over edges of rate[edge] * factor[image] * g, for the pools plus a * pool + b; `rates` [3, edges, channels], `of_pools` [2, 2, channels]. */
int pool_back(long threads, long images, long height, long width, long channels, long stride, long edges, const tensor *g, const real *factor,
              const real *rates, const real *of_pools, const tensor *largest, const tensor *mean, const uint8_t *index, long identity,
              const tensor *state_gradient) {
    long h = (height + stride - 1) / stride, w = (width + stride - 1) / stride, row = width + 2, plane = row * (height + 2);
    threads = fit(threads, images, (double)images * h * w * channels * (9 + edges));
    EACH_THREAD {
        vec *back = own(plane);
        EACH_IMAGE for (long first = 0; first < channels; first += LANES) {
            long some = lanes(channels, first / LANES);
            vec tail[4];
            for (int i = 0; i < 4; i++) tail[i] = get_real(of_pools + i * channels + first, some);
            memset(back, 0, plane * sizeof(vec));
            for (long r = 0; r < h; r++) for (long c = 0; c < w; c++) {
                long p = r * w + c;
                vec through[3] = {{0}};
                for (long e = 0; e < edges; e++) {
                    vec v = get_real((const real *)g->data + n * g->image + p * g->pixel + e * g->edge + first, some);
                    for (int i = 0; i < 3; i++) through[i] += v * get_real(rates + (i * edges + e) * channels + first, some);
                }
                if (factor) for (int i = 0; i < 3; i++) through[i] *= factor[n];
                vec *at = back + r * stride * row + c * stride;
                if (identity) at[row + 1] += through[2];
                if (largest->data) {
                    through[0] += tail[0] * get((const store *)largest->data + n * largest->image + p * largest->pixel + first, some) + tail[1];
                    bytes narrow = {0};
                    memcpy(&narrow, index + (n * h * w + p) * channels + first, some);
                    mask which = __builtin_convertvector(narrow, mask);
                    for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) at[i * row + j] += where(which == i * 3 + j, through[0]);
                }
                if (mean->data) {
                    long rows = 3 - (r == 0) - (r * stride + 1 >= height), columns = 3 - (c == 0) - (c * stride + 1 >= width);
                    through[1] += tail[2] * get((const store *)mean->data + n * mean->image + p * mean->pixel + first, some) + tail[3];
                    through[1] /= (real)(rows * columns);
                    for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) at[i * row + j] += through[1];
                }
            }
            for (long r = 0; r < height; r++) for (long c = 0; c < width; c++) {
                real *to = (real *)state_gradient->data + n * state_gradient->image + (r * width + c) * state_gradient->pixel + first;
                put_real(to, get_real(to, some) + back[(r + 1) * row + c + 1], some);
            }
        }
    }
    return 0;
}
