/* What normalises the output of a convolution, from its sums; the few numbers of a channel, which torch's operations would take longer over. */
#include "vectors.h"
#include <math.h>

/* From `sums` [edges, 2, channels], of `count` values and of their squares: `normed` [4, edges * channels], the mean, the inverse standard
 * deviation, and by what a value is multiplied, and what is added, to normalise it. Moves the running statistics as torch's norms do, with
 * an unbiased variance.
 */
int batch_norm(long threads, long edges, long channels, long count, double eps, double momentum, const double *sums, const real *weight,
               const real *bias, real *running_mean, real *running_variance, real *normed) {
    (void)threads;
    long all = edges * channels;
    for (long i = 0; i < all; i++) {
        const double *of_edge = sums + i / channels * 2 * channels + i % channels;
        double mean = of_edge[0] / count, variance = of_edge[channels] / count - mean * mean;
        if (variance < 0) variance = 0;
        double rstd = 1 / sqrt(variance + eps), scale = rstd * weight[i];
        running_mean[i] += momentum * (mean - running_mean[i]);
        running_variance[i] += momentum * (variance * count / (count - 1) - running_variance[i]);
        normed[i] = mean, normed[all + i] = rstd, normed[2 * all + i] = scale, normed[3 * all + i] = bias[i] - mean * scale;
    }
    return 0;
}

/* Backward: how the gradient of a value follows from that of what it was normalised to, `rates` [edges, 3, channels] as `convolve_back` takes
 * them, from the sums of the latter, g, and of g times the value; and the gradient of the weight. That of the bias is the sum of g.
 */
int batch_norm_back(long threads, long edges, long channels, long count, const real *normed, const real *weight, const double *of_gradient,
                    const double *of_product, real *rates, real *weight_gradient) {
    (void)threads;
    long all = edges * channels;
    for (long i = 0; i < all; i++) {
        double mean = normed[i], rstd = normed[all + i], slope = rstd * weight[i];
        double of_weight = (of_product[i] - mean * of_gradient[i]) * rstd, bend = -slope * rstd * of_weight / count;
        real *rate = rates + i / channels * 3 * channels + i % channels;
        rate[0] = slope, rate[channels] = bend, rate[2 * channels] = -slope * of_gradient[i] / count - bend * mean;
        weight_gradient[i] = of_weight;
    }
    return 0;
}
