/* A convolution on all edges of a state: ReLU of scale * x + shift, depthwise and pointwise convolution, forward and backward. */
#include "planes.h"

/* What the pass over one image of one edge works on: planes in a thread's own memory, and the kernels of the edge. */
typedef struct {
    const shape *s;
    const sizes *z;
    vec *in, *mid, *out; /* with margin: the rectified input; of a strip: what the depthwise convolution puts out, and the pointwise one */
    vec *d, *gx, *back, *sum; /* backward: the gradient of mid, with margin where z->margin is gathered over; that of the input, three ways */
    long d_row, d_plane, d_first;
    const vec *taps, *flipped, *matrix, *transposed;
    vec *of_taps, *of_matrix; /* where the gradients of the kernels are summed up; NULL: nowhere */
} pass;

static void of_edge(pass *p, const weights *k, long e, vec *of_taps, vec *of_matrix) {
    long taps = e * p->z->in_blocks * p->z->taps, matrix = e * p->z->in_blocks * LANES * p->z->out_blocks;
    p->taps = k->taps + taps, p->flipped = k->flipped + taps, p->matrix = k->matrix + matrix;
    p->transposed = k->transposed + e * p->z->out_blocks * LANES * p->z->in_blocks;
    p->of_taps = of_taps ? of_taps + taps : NULL, p->of_matrix = of_matrix ? of_matrix + matrix : NULL;
}

/* The depthwise convolution of a strip of `rows` rows from row `r` of the output, into `mid`. */
static void depthwise_strip(const pass *p, long r, long rows) {
    const sizes *z = p->z;
    for (long b = 0; b < z->in_blocks; b++)
        depthwise(p->s, rows, z->out_width, p->in + b * z->plane + r * p->s->stride * z->row, z->row, p->taps + b * z->taps,
                  p->mid + b * rows * z->out_width, z->out_width);
}

/* ---- forward ---- */

static void pointwise_strip(const pass *p, long r, long rows) {
    const sizes *z = p->z;
    long count = rows * z->out_width;
    if (p->s->size) pointwise(p->mid, 0, count, z->in_blocks, p->matrix, p->out, 0, count, z->out_blocks, 1, count);
    else pointwise(p->in + r * z->row, z->row, z->plane, z->in_blocks, p->matrix, p->out, z->out_width, count, z->out_blocks, rows, z->out_width);
}

static void put_strip(const pass *p, const tensor *y, long n, long e, long r, long rows, double *sums) {
    long count = rows * p->z->out_width, channels = p->s->channels_out;
    for (long b = 0; b < p->z->out_blocks; b++) {
        vec sum = {0}, square = {0};
        long some = lanes(channels, b);
        store *to = (store *)y->data + n * y->image + r * p->z->out_width * y->pixel + e * y->edge + b * y->block;
        for (long i = 0; i < count; i++, to += y->pixel) {
            vec v = p->out[b * count + i];
            sum += v, square += v * v;
            put(to, v, some);
        }
        add_sums(sums + b * LANES, sum, some), add_sums(sums + channels + b * LANES, square, some);
    }
}

/* y = pointwise(depthwise(relu(scale * x + shift))); `sums` [edges, 2, out]: of y and of its squares, over batch and pixels. */
int convolve(long threads, const shape *s, const tensor *x, const real *scale, const real *shift, const real *taps, const real *matrix,
             const tensor *y, double *sums) {
    sizes z = sizes_of(s);
    long images = s->images, ins = z.in_blocks, count = s->edges * 2 * s->channels_out;
    threads = fit(threads, images, work_of(s, &z));
    weights k = pack(s, &z, taps, matrix);
    double *all = calloc(threads * count, sizeof(double));
    size_t each = whole_lines(ins * (z.plane + z.strip) + z.out_blocks * z.strip);
    vec *memory = memory_for(threads, each);
    if (!k.memory || !all || !memory) {
        free(all), free(k.memory);
        return NO_MEMORY;
    }
    EACH_THREAD {
        pass p = {.s = s, .z = &z, .in = memory + t * each};
        p.mid = p.in + ins * z.plane, p.out = p.mid + ins * z.strip;
        memset(p.in, 0, ins * z.plane * sizeof(vec));
        EACH_IMAGE for (long e = 0; e < s->edges; e++) {
            of_edge(&p, &k, e, NULL, NULL);
            if (e == 0 || x->edge || scale) read_image(s, &z, x, n, e, scale, shift, p.in);
            for (long r = 0, rows; r < z.out_height; r += rows) {
                rows = z.out_height - r < z.rows ? z.out_height - r : z.rows;
                if (s->size) depthwise_strip(&p, r, rows);
                pointwise_strip(&p, r, rows);
                put_strip(&p, y, n, e, r, rows, all + t * count + e * 2 * s->channels_out);
            }
        }
    }
    total(all, threads, count);
    memcpy(sums, all, count * sizeof(double));
    free(all), free(k.memory);
    return 0;
}

/* ---- backward ---- */

/* The gradient of y in a strip, into `out`. */
static void gradient_of_y(const pass *p, const tensor *g, real factor, const tensor *y, const real *rates, long n, long e, long r, long rows) {
    long count = rows * p->z->out_width, channels = p->s->channels_out;
    for (long b = 0; b < p->z->out_blocks; b++) {
        long some = lanes(channels, b);
        const real *rate = rates + e * 3 * channels + b * LANES;
        vec of_g = get_real(rate, some) * factor, of_y = get_real(rate + channels, some), rest = get_real(rate + 2 * channels, some);
        const real *gs = (const real *)g->data + n * g->image + r * p->z->out_width * g->pixel + e * g->edge + b * g->block;
        const store *ys = (const store *)y->data + n * y->image + r * p->z->out_width * y->pixel + e * y->edge + b * y->block;
        for (long i = 0; i < count; i++)
            p->out[b * count + i] = get_real(gs + i * g->pixel, some) * of_g + get(ys + i * y->pixel, some) * of_y + rest;
    }
}

/* From `out`, the gradient of y in a strip: that of mid, into `d`, and what it adds to those of the kernels. */
static void strip_back(const pass *p, long r, long rows) {
    const sizes *z = p->z;
    long count = rows * z->out_width, w = z->out_width;
    vec *d = p->d + p->d_first + r * p->d_row;
    if (p->of_matrix && p->s->size) {
        depthwise_strip(p, r, rows);
        pointwise_kernel(p->mid, w, count, z->in_blocks, p->out, z->out_blocks, p->of_matrix, rows, w);
    } else if (p->of_matrix)
        pointwise_kernel(p->in + r * z->row, z->row, z->plane, z->in_blocks, p->out, z->out_blocks, p->of_matrix, rows, w);
    pointwise(p->out, w, count, z->out_blocks, p->transposed, d, p->d_row, p->d_plane, z->in_blocks, rows, w);
    if (p->of_taps && p->s->size)
        for (long b = 0; b < z->in_blocks; b++)
            depthwise_kernel(p->s, rows, w, p->in + b * z->plane + r * p->s->stride * z->row, z->row, p->of_taps + b * z->taps,
                             d + b * p->d_plane, p->d_row);
}

/* The gradient of block `b` of the input from that of mid, and the distance of its rows. */
static const vec *input_back(const pass *p, long b, long *row) {
    const shape *s = p->s;
    const sizes *z = p->z;
    vec *d = p->d + b * p->d_plane;
    *row = p->d_row;
    if (!s->size) return d;
    if (s->stride == 1) { /* gathered: the convolution with the kernel turned round */
        *row = s->width;
        depthwise(s, s->height, s->width, d, z->row, p->flipped + b * z->taps, p->gx, s->width);
        return p->gx;
    }
    *row = z->row;
    memset(p->back, 0, z->plane * sizeof(vec));
    depthwise_back(s, z->out_height, z->out_width, p->back, z->row, p->taps + b * z->taps, d, p->d_row);
    return p->back + z->inside;
}

/* Where the ReLU let block `b` pass, the gradient goes to the state of all edges: summed up over them, and put or added at the last. */
static void to_state(const pass *p, const vec *result, long row, const tensor *state, long adds, long n, long e, long b) {
    const shape *s = p->s;
    long some = lanes(s->channels_in, b);
    vec *sum = p->sum + b * s->height * s->width;
    for (long r = 0; r < s->height; r++)
        for (long c = 0; c < s->width; c++) sum[r * s->width + c] = result[r * row + c] + (e ? sum[r * s->width + c] : (vec){0});
    if (e < s->edges - 1) return;
    const vec *active = p->in + b * p->z->plane + p->z->inside;
    real *to = (real *)state->data + n * state->image + b * state->block;
    for (long r = 0; r < s->height; r++)
        for (long c = 0; c < s->width; c++, to += state->pixel)
            put_real(to, (adds ? get_real(to, some) : (vec){0}) + where(active[r * p->z->row + c] > (vec){0}, sum[r * s->width + c]), some);
}

/* ... or to the edge's own input x, with the sums of it and of it times x. */
static void to_input(const pass *p, const vec *result, long row, const tensor *x, const tensor *gradient, long n, long e, long b, double *sums) {
    const shape *s = p->s;
    long some = lanes(s->channels_in, b);
    const vec *active = p->in + b * p->z->plane + p->z->inside;
    const store *xs = (const store *)x->data + n * x->image + e * x->edge + b * x->block;
    real *to = (real *)gradient->data + n * gradient->image + e * gradient->edge + b * gradient->block;
    for (long r = 0; r < s->height; r++) {
        vec sum = {0}, product = {0};
        for (long c = 0; c < s->width; c++, xs += x->pixel, to += gradient->pixel) {
            vec v = where(active[r * p->z->row + c] > (vec){0}, result[r * row + c]);
            sum += v, product += v * get(xs, some);
            put_real(to, v, some);
        }
        add_sums(sums + b * LANES, sum, some), add_sums(sums + s->channels_in + b * LANES, product, some);
    }
}

/* The threads' sums of the kernels' gradients as torch has them: [edges, in, taps] and [edges, out, in]. */
static void unpack(const shape *s, const sizes *z, vec *learnt, long of_taps, long of_all, long threads, real *taps_gradient, real *matrix_gradient) {
    for (long t = 1; t < threads; t++) for (long i = 0; i < of_all; i++) learnt[i] += learnt[t * of_all + i];
    for (long e = 0; e < s->edges; e++)
        for (long c = 0; c < s->channels_in; c++) {
            const vec *of_channel = learnt + (e * z->in_blocks + c / LANES) * z->taps;
            const vec *row = learnt + of_taps + (e * z->in_blocks * LANES + c) * z->out_blocks;
            for (long i = 0; i < z->taps; i++) taps_gradient[(e * s->channels_in + c) * z->taps + i] = of_channel[i][c % LANES];
            for (long o = 0; o < s->channels_out; o++) matrix_gradient[(e * s->channels_out + o) * s->channels_in + c] = row[o / LANES][o % LANES];
        }
}

/* The gradients of `convolve`, given that of y as rate[0] * factor[image] * g + rate[1] * y + rate[2], `rates` [edges, 3, out].
 *
 * Either `x_gradient`, of scale * x + shift on every edge, is put, with `sums` [edges, 2, in] of it and of it times x; or `state_gradient`,
 * which has no edges, is put or, where `adds`, added to. `taps_gradient` and `matrix_gradient` may be NULL: then they are not computed.
 * Gradients are real.
 */
int convolve_back(long threads, const shape *s, const tensor *x, const real *scale, const real *shift, const real *taps, const real *matrix,
                  const tensor *g, const real *factor, const tensor *y, const real *rates, const tensor *x_gradient,
                  const tensor *state_gradient, long adds, double *sums, real *taps_gradient, real *matrix_gradient) {
    sizes z = sizes_of(s);
    long images = s->images, ins = z.in_blocks, area = s->height * s->width, count = s->edges * 2 * s->channels_in;
    int gathers = s->size && s->stride == 1, learns = matrix_gradient != NULL;
    long of_taps = s->edges * ins * z.taps, of_all = of_taps + s->edges * ins * LANES * z.out_blocks;
    threads = fit(threads, images, 2 * work_of(s, &z));
    weights k = pack(s, &z, taps, matrix);
    vec *learnt = learns ? aligned_alloc(64, (threads * of_all * sizeof(vec) + 63) / 64 * 64) : NULL;
    double *all = calloc(threads * count, sizeof(double));
    long d_plane = gathers ? z.plane : z.pixels;
    size_t each = whole_lines(ins * (z.plane + d_plane + z.strip + area) + z.plane + area + z.out_blocks * z.strip);
    vec *memory = memory_for(threads, each);
    if (!k.memory || !all || !memory || (learns && !learnt)) {
        free(all), free(learnt), free(k.memory);
        return NO_MEMORY;
    }
    if (learns) memset(learnt, 0, threads * of_all * sizeof(vec));
    EACH_THREAD {
        pass p = {.s = s, .z = &z, .in = memory + t * each, .d_row = z.out_width, .d_plane = d_plane};
        if (gathers) p.d_row = z.row, p.d_first = z.inside;
        p.d = p.in + ins * z.plane, p.mid = p.d + ins * p.d_plane, p.sum = p.mid + ins * z.strip;
        p.back = p.sum + ins * area, p.gx = p.back + z.plane, p.out = p.gx + area;
        memset(p.in, 0, ins * (z.plane + p.d_plane) * sizeof(vec));
        vec *mine = learns ? learnt + t * of_all : NULL;
        EACH_IMAGE for (long e = 0; e < s->edges; e++) {
            of_edge(&p, &k, e, mine, learns ? mine + of_taps : NULL);
            if (e == 0 || x->edge || scale) read_image(s, &z, x, n, e, scale, shift, p.in);
            for (long r = 0, rows; r < z.out_height; r += rows) {
                rows = z.out_height - r < z.rows ? z.out_height - r : z.rows;
                gradient_of_y(&p, g, factor ? factor[n] : 1, y, rates, n, e, r, rows);
                strip_back(&p, r, rows);
            }
            for (long b = 0, row; (x_gradient->data || state_gradient->data) && b < ins; b++) {
                const vec *result = input_back(&p, b, &row);
                if (state_gradient->data) to_state(&p, result, row, state_gradient, adds, n, e, b);
                else to_input(&p, result, row, x, x_gradient, n, e, b, all + t * count + e * 2 * s->channels_in);
            }
        }
    }
    total(all, threads, count);
    memcpy(sums, all, count * sizeof(double));
    if (learns) unpack(s, &z, learnt, of_taps, of_all, threads, taps_gradient, matrix_gradient);
    free(all), free(learnt), free(k.memory);
    return 0;
}
