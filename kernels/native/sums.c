/* Sums of sources on edges, and of their products with a gradient. */
#include "vectors.h"

/* y (+)= sum over sources of factor[source, image] * (scale[source, edge, channel] * x[source] + shift[source, edge, channel]). */
int mix(long threads, long images, long pixels, long edges, long channels, long sources, const tensor *x, const real *scale, const real *shift,
        const real *factor, const tensor *y, long adds) {
    threads = fit(threads, images, (double)images * pixels * edges * channels * sources);
    EACH_THREAD EACH_IMAGE for (long e = 0; e < edges; e++) EACH_BLOCK {
        long some = lanes(channels, b);
        vec d = {0}, sum[TILE];
        for (long i = 0; i < sources; i++) d += get_real(shift + (i * edges + e) * channels + first, some) * (factor ? factor[i * images + n] : 1);
        for (long begin = 0; begin < pixels; begin += TILE) {
            long end = pixels - begin < TILE ? pixels - begin : TILE;
            store *to = (store *)y->data + n * y->image + begin * y->pixel + e * y->edge + b * y->block;
            for (long p = 0; p < end; p++) sum[p] = adds ? get(to + p * y->pixel, some) + d : d;
            for (long i = 0; i < sources; i++) {
                vec a = get_real(scale + (i * edges + e) * channels + first, some) * (factor ? factor[i * images + n] : 1);
                const store *from = (const store *)x[i].data + n * x[i].image + begin * x[i].pixel + e * x[i].edge + b * x[i].block;
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
    if (!all) return NO_MEMORY;
    EACH_THREAD EACH_IMAGE for (long e = 0; e < edges; e++) EACH_BLOCK {
        long some = lanes(channels, b);
        double *mine = all + t * count + e * channels + first;
        for (long begin = 0; begin < pixels; begin += TILE) {
            long end = pixels - begin < TILE ? pixels - begin : TILE;
            const real *gs = (const real *)g->data + n * g->image + begin * g->pixel + e * g->edge + b * g->block;
            vec tile[TILE], plain = {0};
            for (long p = 0; p < end; p++) tile[p] = get_real(gs + p * g->pixel, some), plain += tile[p];
            for (long i = 0; i < sources; i++) {
                const store *from = (const store *)x[i].data + n * x[i].image + begin * x[i].pixel + e * x[i].edge + b * x[i].block;
                vec sum = {0}, other = {0};
                long p = 0;
                for (; p + 2 <= end; p += 2) {
                    sum += tile[p] * get(from + p * x[i].pixel, some);
                    other += tile[p + 1] * get(from + (p + 1) * x[i].pixel, some);
                }
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

/* Threads, and nothing else: tried once in a process of its own, which ends if its two OpenMP libraries, torch's and ours, do not bear it. */
int try_threads(long threads) {
    long count = 0;
    EACH_THREAD {
        _Pragma("omp atomic")
        count++;
    }
    return count != threads;
}
