/* 3x3 convolutions of stride 1, padded by one pixel, by Winograd's F(4x4, 3x3): Lavin and Gray (2016), "Fast algorithms for convolutional
 * neural networks", equations 8 and 12, with their matrices. A tile of 4x4 pixels takes 36 products of a pair of channels where it otherwise takes 144.
 *
 * Images are [images, height, width, channels], kernels [3, 3, from, to], next to one another. For each of the 36 places of a transformed
 * tile there is one product of matrices: of tiles and kernels, or, for the gradient of the kernels, of tiles and tiles. The transforms
 * write what these products read in the order in which they read it. Every sum is in one order, whatever the number of threads.
 */
#include "vectors.h"

#define PLACES 36
#if defined(__AVX512F__) && !defined(STORE_FLOAT64)
#define WIDE 16 /* numbers in a register, as the compiler is to use it */
#define ROWS 12 /* of a product that are worked on at once: as many sums as the processor has registers for */
#else
#define WIDE LANES
#define ROWS 6
#endif
#define COLUMNS (2 * WIDE)
#define BAND 24 /* rows that lie together where they are summed over tiles: a multiple of ROWS and of LANES */
#define BLOCK 48 /* rows that stay in the cache while the columns pass by: a multiple of ROWS */
#define TILES 256 /* worked on at a time: enough that reading the kernels for them is cheap, few enough that one place's stay in the cache */
#define SKEW 16 /* numbers between two places, so that they do not share the same sets of the cache */
_Static_assert(BAND % ROWS == 0 && BAND % LANES == 0 && BLOCK % ROWS == 0 && COLUMNS % LANES == 0, "groups do not fit");
typedef real wide __attribute__((vector_size(WIDE * sizeof(real))));

typedef struct { long height, width, down, across; } map;
static inline map map_of(long height, long width) { return (map){height, width, (height + 3) / 4, (width + 3) / 4}; }

/* ---- the matrices of the paper, each applied to vectors that lie `step` apart, in place ---- */

INLINE void image_matrix(vec *d, long step) { /* B', 6 -> 6 */
    vec a = d[4 * step] - 4 * d[2 * step], b = d[3 * step] - 4 * d[step], c = d[4 * step] - d[2 * step], e = 2 * (d[3 * step] - d[step]);
    d[0] = 4 * d[0] - 5 * d[2 * step] + d[4 * step], d[5 * step] = 4 * d[step] - 5 * d[3 * step] + d[5 * step];
    d[step] = a + b, d[2 * step] = a - b, d[3 * step] = c + e, d[4 * step] = c - e;
}
INLINE void kernel_matrix(vec *d, long step) { /* G, 3 -> 6 */
    vec a = (d[0] + d[2 * step]) / -6, b = d[step] / 6, c = d[0] / 24 + d[2 * step] / 6, e = d[step] / 12;
    d[5 * step] = d[2 * step], d[0] = d[0] / 4, d[step] = a - b, d[2 * step] = a + b, d[3 * step] = c + e, d[4 * step] = c - e;
}
INLINE void result_matrix(vec *d, long step) { /* A', 6 -> 4 */
    vec a = d[step] + d[2 * step], b = d[step] - d[2 * step], c = d[3 * step] + d[4 * step], e = d[3 * step] - d[4 * step];
    d[0] = d[0] + a + c, d[step] = b + 2 * e, d[2 * step] = a + 4 * c, d[3 * step] = b + 8 * e + d[5 * step];
}
INLINE void gradient_matrix(vec *d, long step) { /* A, 4 -> 6 */
    vec a = d[0] + d[2 * step], b = d[step] + d[3 * step], c = d[0] + 4 * d[2 * step], e = 2 * d[step] + 8 * d[3 * step];
    d[5 * step] = d[3 * step], d[step] = a + b, d[2 * step] = a - b, d[3 * step] = c + e, d[4 * step] = c - e;
}
INLINE void kernel_gradient_matrix(vec *d, long step) { /* G', 6 -> 3 */
    vec a = (d[step] + d[2 * step]) / 6, b = (d[step] - d[2 * step]) / 6, c = d[3 * step] + d[4 * step], e = d[3 * step] - d[4 * step];
    d[0] = d[0] / 4 - a + c / 24, d[step] = e / 12 - b, d[2 * step] = c / 6 - a + d[5 * step];
}

/* ---- transforms ---- */

/* Where channel `c` of row `i` lies, among `rows`: channels in groups of `group`, each group row by row. */
INLINE long place_of(long i, long c, long rows, long group) { return (c / group * rows + i) * group + c % group; }

/* The `tile` of `x`, each place of it `apart` from the last, and its channels as `place_of` says of row `i` of `count`, in groups of `group`.
 * Of a gradient the 4x4 pixels of the tile are transformed, of an image those and the pixels around them. */
INLINE void transform_tile(map of, const real *x, long channels, long tile, int is_gradient, real *v, long apart, long i, long count, long group) {
    long edge = is_gradient ? 0 : -1, size = is_gradient ? 4 : 6;
    long top = tile / of.across % of.down * 4 + edge, left = tile % of.across * 4 + edge;
    const real *image = x + tile / (of.down * of.across) * of.height * of.width * channels;
    for (long c = 0; c < channels; c += LANES) {
        long some = lanes(channels, c / LANES);
        vec d[PLACES];
        for (long r = 0; r < size; r++) for (long q = 0; q < size; q++) {
            long row = top + r, column = left + q;
            int is_inside = row >= 0 && row < of.height && column >= 0 && column < of.width;
            d[r * 6 + q] = is_inside ? get_real(image + (row * of.width + column) * channels + c, some) : (vec){0};
        }
        for (long q = 0; q < size; q++) if (is_gradient) gradient_matrix(d + q, 6); else image_matrix(d + q, 6);
        for (long r = 0; r < 6; r++) if (is_gradient) gradient_matrix(d + r * 6, 1); else image_matrix(d + r * 6, 1);
        real *to = v + place_of(i, c, count, group);
        for (long p = 0; p < PLACES; p++) put_real(to + p * apart, d[p], some);
    }
}
/* Tiles `first` to `first + count`, each by the thread whose turn it is. */
static void transform_tiles(long threads, map of, const real *x, long channels, long first, long count, int is_gradient, real *v, long apart, long group) {
    EACH_THREAD for (long i = t * count / threads; i < (t + 1) * count / threads; i++) {
        /* By constants, for each of which the compiler makes a form of its own. */
        if (is_gradient) transform_tile(of, x, channels, first + i, 1, v, apart, i, count, group);
        else transform_tile(of, x, channels, first + i, 0, v, apart, i, count, group);
    }
}

/* The pixels of tiles `first` to `first + count`, from what `m` has of them, tile by tile. */
static void pixels_of_tiles(long threads, map of, const real *m, long apart, long channels, long first, long count, real *y) {
    EACH_THREAD for (long i = t * count / threads; i < (t + 1) * count / threads; i++) {
        long tile = first + i, top = tile / of.across % of.down * 4, left = tile % of.across * 4;
        real *image = y + tile / (of.down * of.across) * of.height * of.width * channels;
        for (long c = 0; c < channels; c += LANES) {
            long some = lanes(channels, c / LANES);
            vec d[PLACES];
            for (long p = 0; p < PLACES; p++) d[p] = get_real(m + p * apart + i * channels + c, some);
            for (long q = 0; q < 6; q++) result_matrix(d + q, 6);
            for (long r = 0; r < 4; r++) result_matrix(d + r * 6, 1);
            for (long r = 0; r < 4 && top + r < of.height; r++) for (long q = 0; q < 4 && left + q < of.width; q++)
                put_real(image + ((top + r) * of.width + left + q) * channels + c, d[r * 6 + q], some);
        }
    }
}

/* Kernels [3, 3, from, to] at each place, in groups of COLUMNS of `to`; those that fill up the last group are 0. */
static void transform_kernels(long threads, const real *kernels, long from, long to, real *u, long apart) {
    long whole = (to + COLUMNS - 1) / COLUMNS * COLUMNS;
    EACH_THREAD for (long i = t * from / threads; i < (t + 1) * from / threads; i++) for (long c = 0; c < whole; c += LANES) {
        long some = c < to ? lanes(to, c / LANES) : 0;
        vec d[PLACES];
        for (long r = 0; r < 3; r++) for (long q = 0; q < 3; q++)
            d[r * 6 + q] = some ? get_real(kernels + ((r * 3 + q) * from + i) * to + c, some) : (vec){0};
        for (long q = 0; q < 3; q++) kernel_matrix(d + q, 6);
        for (long r = 0; r < 6; r++) kernel_matrix(d + r * 6, 1);
        for (long p = 0; p < PLACES; p++) put_real(u + p * apart + place_of(i, c, from, COLUMNS), d[p], LANES);
    }
}

/* The gradient of kernels [3, 3, from, to], from that at each place. */
static void kernel_gradients(long threads, const real *m, long apart, long from, long to, real *kernels) {
    EACH_THREAD for (long i = t * from / threads; i < (t + 1) * from / threads; i++) for (long c = 0; c < to; c += LANES) {
        long some = lanes(to, c / LANES);
        vec d[PLACES];
        for (long p = 0; p < PLACES; p++) d[p] = get_real(m + p * apart + i * to + c, some);
        for (long q = 0; q < 6; q++) kernel_gradient_matrix(d + q, 6);
        for (long r = 0; r < 3; r++) kernel_gradient_matrix(d + r * 6, 1);
        for (long r = 0; r < 3; r++) for (long q = 0; q < 3; q++) put_real(kernels + ((r * 3 + q) * from + i) * to + c, d[r * 6 + q], some);
    }
}

/* ---- products of matrices ---- */

/* ROWS rows and COLUMNS columns of a product over `depth`: of numbers of `a` that lie `row` and `deep` apart, and of a group `b`. */
INLINE void multiply(long depth, const real *a, long row, long deep, const real *b, real *c, long c_row, long rows, long columns, int adds) {
    wide sum[ROWS][2] = {{{0}}};
    _Pragma("GCC unroll 4")
    for (long k = 0; k < depth; k++) {
        wide left, right;
        memcpy(&left, b + k * COLUMNS, sizeof left), memcpy(&right, b + k * COLUMNS + WIDE, sizeof right);
        _Pragma("GCC unroll 12")
        for (int r = 0; r < ROWS; r++) sum[r][0] += a[r * row + k * deep] * left, sum[r][1] += a[r * row + k * deep] * right;
    }
    if (rows == ROWS && columns == COLUMNS) {
        _Pragma("GCC unroll 12")
        for (int r = 0; r < ROWS; r++) for (int q = 0; q < 2; q++) {
            real *to = c + r * c_row + q * WIDE;
            wide before = {0};
            if (adds) memcpy(&before, to, sizeof before);
            before += sum[r][q];
            memcpy(to, &before, sizeof before);
        }
        return;
    }
    real all[ROWS][COLUMNS]; /* the rare edges */
    memcpy(all, sum, sizeof all);
    for (long r = 0; r < rows; r++) for (long q = 0; q < columns; q++) c[r * c_row + q] = adds ? c[r * c_row + q] + all[r][q] : all[r][q];
}
INLINE long least(long a, long b) { return a < b ? a : b; }

/* m [tiles, to] = v [tiles, from] times u, in groups of COLUMNS. */
static void convolve_place(long tiles, long from, long to, const real *v, const real *u, real *m) {
    for (long block = 0; block < tiles; block += BLOCK) for (long c = 0; c < to; c += COLUMNS)
        for (long i = block; i < least(block + BLOCK, tiles); i += ROWS)
            multiply(from, v + i * from, from, 1, u + c * from, m + i * to + c, to, least(ROWS, tiles - i), least(COLUMNS, to - c), 0);
}
/* m [from, to] += v, in groups of BAND, transposed, times g, in groups of COLUMNS. */
static void sum_over_tiles(long tiles, long from, long to, const real *v, const real *g, real *m) {
    for (long band = 0; band < from; band += BAND) for (long c = 0; c < to; c += COLUMNS)
        for (long i = band; i < least(band + BAND, from); i += ROWS)
            multiply(tiles, v + band * tiles + i - band, 1, BAND, g + c * tiles, m + i * to + c, to, least(ROWS, from - i), least(COLUMNS, to - c), 1);
}

/* ---- what is called ---- */

static inline long whole(long count, long group) { return (count + group - 1) / group * group; }
static real *room_for(long numbers) { return (real *)memory_for(1, whole(numbers, LANES) / LANES); }

/* y [images, height, width, to] = x [images, height, width, from] convolved with kernels [3, 3, from, to]. */
int winograd(long threads, long images, long height, long width, long from, long to, const real *x, const real *kernels, real *y) {
    map of = map_of(height, width);
    long tiles = images * of.down * of.across, some = least(tiles, TILES);
    /* Rows are read in groups, also the last of them. */
    long v_apart = whole(some, ROWS) * from + SKEW, u_apart = from * whole(to, COLUMNS) + SKEW, m_apart = some * to + SKEW;
    real *v = room_for(PLACES * (v_apart + u_apart + m_apart));
    if (!v) return NO_MEMORY;
    real *u = v + PLACES * v_apart, *m = u + PLACES * u_apart;
    threads = fit(threads, tiles, (double)tiles * PLACES * from * to);
    transform_kernels(threads, kernels, from, to, u, u_apart);
    for (long first = 0; first < tiles; first += some) {
        long count = least(some, tiles - first);
        transform_tiles(threads, of, x, from, first, count, 0, v, v_apart, from);
        EACH_THREAD for (long p = t * PLACES / threads; p < (t + 1) * PLACES / threads; p++)
            convolve_place(count, from, to, v + p * v_apart, u + p * u_apart, m + p * m_apart);
        pixels_of_tiles(threads, of, m, m_apart, to, first, count, y);
    }
    return 0;
}

/* The gradient of kernels [3, 3, from, to], from x [images, height, width, from] and the gradient g of y [images, height, width, to]. */
int winograd_kernels(long threads, long images, long height, long width, long from, long to, const real *x, const real *g, real *kernels) {
    map of = map_of(height, width);
    long tiles = images * of.down * of.across, some = least(tiles, TILES);
    long v_apart = some * whole(from, BAND) + SKEW, g_apart = some * whole(to, COLUMNS) + SKEW, m_apart = from * to + SKEW;
    real *v = room_for(PLACES * (v_apart + g_apart + m_apart));
    if (!v) return NO_MEMORY;
    real *of_g = v + PLACES * v_apart, *m = of_g + PLACES * g_apart;
    threads = fit(threads, tiles, (double)tiles * PLACES * from * to);
    memset(m, 0, PLACES * m_apart * sizeof(real));
    for (long first = 0; first < tiles; first += some) {
        long count = least(some, tiles - first);
        transform_tiles(threads, of, x, from, first, count, 0, v, v_apart, BAND);
        transform_tiles(threads, of, g, to, first, count, 1, of_g, g_apart, COLUMNS);
        EACH_THREAD for (long p = t * PLACES / threads; p < (t + 1) * PLACES / threads; p++)
            sum_over_tiles(count, from, to, v + p * v_apart, of_g + p * g_apart, m + p * m_apart);
    }
    kernel_gradients(threads, m, m_apart, from, to, kernels);
    return 0;
}
