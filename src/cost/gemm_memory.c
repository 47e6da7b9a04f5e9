/* What a GEMM's operands cost outside its tiles: main memory, and the pass that quantises A.
 *
 * In a model each layer has its own weights: they come from memory, and of the activations what exceeds the
 * part of the shared cache that is left for them. A benchmark instead runs over the same operands again and
 * again, with `weight_sets` copies of the weights that take turns: it touches
 *   F = weight_sets * weights + A + C
 * bytes before it comes back to the first. Of bytes read in a circle a cache of capacity C that replaces at
 * random misses the share u that solves u = 1 - exp(-u F / C): a byte is still there after the u F
 * replacements of one round with probability (1 - 1/C)^(u F). It is 0 up to F = C, 0.58 at 1.5 C and 0.80 at
 * 2 C. Half the capacity counts: a cache of two partitions, each next to half of the units, keeps what all
 * units read in both. */
#include "cost/prepared.h"

#include <math.h>

double cyclic_miss_share(double footprint, double capacity)
{
    if (footprint <= capacity)
        return 0;
    const double all = 40; /* exp(-40) is below a rounding error of 1 */
    if (!(footprint < all * capacity))
        return 1;
    double ratio = footprint / capacity, share = 1;
    for (int i = 0; i < 50; i++) { /* Newton from above: the function is concave, so it never overshoots */
        double hit = exp(-share * ratio);
        double step = (share - 1 + hit) / (1 - ratio * hit);
        share -= step;
        if (!(step > 1e-12))
            break;
    }
    return share;
}

double gemm_memory_bytes(const struct prepared_op *prepared, double activations)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    if (!target->repeated || !target->residency)
        return gemm->weight_bytes + missing_bytes(target, activations);
    double footprint = gemm->weight_sets * gemm->weight_bytes + activations;
    return (gemm->weight_bytes + activations) * cyclic_miss_share(footprint, target->cache_capacity / 2);
}
