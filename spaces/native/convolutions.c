/* A convolution of a cell, forward and backward: one image at a time, plane by plane. */
#include "vectors.h"

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
void convolve(long threads, const shape *s, const tensor *x, const real *scale, const real *shift, const real *taps, const real *matrix,
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
}

/* The gradients of `convolve`, given that of y as rate[0] * factor[image] * g + rate[1] * y + rate[2], `rates` [edges, 3, out].
 *
 * Either `x_gradient`, of scale * x + shift on every edge, is put, with `sums` [edges, 2, in] of it and of it times x; or `state_gradient`,
 * which has no edges, is put or, where `adds`, added to. `taps_gradient` and `matrix_gradient` may be NULL: then they are not computed. Gradients are real.
 */
void convolve_back(long threads, const shape *s, const tensor *x, const real *scale, const real *shift, const real *taps, const real *matrix,
                  const tensor *g, const real *factor, const tensor *y, const real *rates, const tensor *x_gradient,
                  const tensor *state_gradient, long adds, double *sums, real *taps_gradient, real *matrix_gradient) {
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
                        put_real(to, (adds ? get_real(to, some) : (vec){0}) + where(active[r * z->row + c] > (vec){0}, sum[r * s->width + c]), some);
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
}

