/* Convolutions of one image in planes of LANES channels, in a thread's own memory. */
#pragma once
#include "vectors.h"

/* A convolution: ReLU of scale * x + shift, depthwise convolution (none where size is 0), pointwise convolution. */
typedef struct { long edges, images, height, width, channels_in, channels_out, size, dilation, stride; } shape;
/* `row` and `plane` with the margin, whose first pixel inside is `inside`; a strip is as many rows of the output as are worked on at a time,
 * so that they stay in the cache. */
typedef struct { long in_blocks, out_blocks, out_height, out_width, pixels, margin, row, plane, inside, taps, rows, strip; } sizes;

static inline sizes sizes_of(const shape *s) {
    sizes z;
    z.in_blocks = (s->channels_in + LANES - 1) / LANES;
    z.out_blocks = (s->channels_out + LANES - 1) / LANES;
    z.out_height = (s->height + s->stride - 1) / s->stride;
    z.out_width = (s->width + s->stride - 1) / s->stride;
    z.pixels = z.out_height * z.out_width;
    z.margin = s->dilation * (s->size / 2);
    z.row = s->width + 2 * z.margin;
    z.plane = z.row * (s->height + 2 * z.margin);
    z.inside = z.margin * z.row + z.margin;
    z.taps = s->size * s->size;
    z.rows = z.out_width < 64 ? 64 / z.out_width : 1;
    if (z.rows > z.out_height) z.rows = z.out_height;
    z.strip = z.rows * z.out_width;
    return z;
}

static inline double work_of(const shape *s, const sizes *z) {
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

static inline void depthwise(const shape *s, long h, long w, const vec *in, long in_row, const vec *kernel, vec *out, long out_row) {
    BY_KIND(slide, in, in_row, kernel, out, out_row, h, w)
}
static inline void depthwise_kernel(const shape *s, long h, long w, const vec *in, long in_row, vec *kernel, const vec *g, long g_row) {
    BY_KIND(slide_kernel, in, in_row, kernel, g, g_row, h, w)
}
static inline void depthwise_back(const shape *s, long h, long w, vec *in, long in_row, const vec *kernel, const vec *g, long g_row) {
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
/* A matrix `weight` [ins * LANES, outs] of vectors over the pixels of `h` rows of `w`, eight at a time: their sums stay in registers. What is
 * left of a row is as many again, and rows that lie end to end are one: maps of 6 or 7 pixels would be nothing but such rests. */
static inline void pointwise(const vec *in, long in_row, long in_plane, long ins, const vec *weight, vec *out, long out_row,
                             long out_plane, long outs, long h, long w) {
    if (in_row == w && out_row == w) w *= h, h = 1;
    for (long r = 0; r < h; r++) {
        const vec *from = in + r * in_row;
        vec *to = out + r * out_row;
        for (long c = w / 8; c > 0; c--, from += 8, to += 8) several(from, in_plane, ins, weight, to, out_plane, outs, 8);
        switch (w % 8) {
            case 1: several(from, in_plane, ins, weight, to, out_plane, outs, 1); break;
            case 2: several(from, in_plane, ins, weight, to, out_plane, outs, 2); break;
            case 3: several(from, in_plane, ins, weight, to, out_plane, outs, 3); break;
            case 4: several(from, in_plane, ins, weight, to, out_plane, outs, 4); break;
            case 5: several(from, in_plane, ins, weight, to, out_plane, outs, 5); break;
            case 6: several(from, in_plane, ins, weight, to, out_plane, outs, 6); break;
            case 7: several(from, in_plane, ins, weight, to, out_plane, outs, 7); break;
        }
    }
}
/* weight += in^T g, both [blocks, rows of `w` pixels]. */
static inline void pointwise_kernel(const vec *in, long in_row, long in_plane, long ins, const vec *g, long outs, vec *weight, long h, long w) {
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

/* The kernels of all edges, [edges, channels, taps] and [edges, out, in] as torch has them, in vectors; flipped and transposed too. `memory`
 * is NULL where there was none for them. */
typedef struct { vec *memory, *taps, *flipped, *matrix, *transposed; } weights;

static inline weights pack(const shape *s, const sizes *z, const real *taps, const real *matrix) {
    long ins = z->in_blocks, outs = z->out_blocks, of_taps = s->edges * ins * z->taps;
    long of_matrix = s->edges * ins * LANES * outs, of_back = s->edges * outs * LANES * ins;
    weights k;
    k.memory = aligned_alloc(64, ((2 * of_taps + of_matrix + of_back) * sizeof(vec) + 63) / 64 * 64);
    if (!k.memory) return k;
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
static inline void read_image(const shape *s, const sizes *z, const tensor *x, long n, long e, const real *scale, const real *shift, vec *padded) {
    for (long b = 0; b < z->in_blocks; b++) {
        long some = lanes(s->channels_in, b);
        vec a = {0}, d = {0};
        if (scale) a = get_real(scale + e * s->channels_in + b * LANES, some), d = get_real(shift + e * s->channels_in + b * LANES, some);
        for (long r = 0; r < s->height; r++) {
            vec *row = padded + b * z->plane + (r + z->margin) * z->row + z->margin;
            const store *from = (const store *)x->data + n * x->image + r * s->width * x->pixel + e * x->edge + b * x->block;
            if (scale) for (long c = 0; c < s->width; c++) row[c] = rectified(get(from + c * x->pixel, some) * a + d);
            else for (long c = 0; c < s->width; c++) row[c] = rectified(get(from + c * x->pixel, some));
        }
    }
}
