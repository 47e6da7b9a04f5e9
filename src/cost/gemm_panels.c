/* Products of many rows on cores that unpack weights (software panel_columns, panel_rows), as blocked GEMMs
 * on CPUs do (K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34,
 * 2008):
 *
 *   t     = t0 + omega + join( busy, bytes / (beta * BW) )
 *   busy  = columns * k * ( share * m * 2 / (eps * peak / units)
 *             + ceil(share) * ceil(m / panel_rows) * (e_a + e_b) units / (lambda * BW_cache) )
 *             + m * k * batch * 2 e_a / (lambda * BW_cache)          A in the kernels' order, where no pass
 *                                                                    of its own quantises it, before anything
 *                                                                    else; what of it is missing from memory
 *             + m * n * batch * e_c / (lambda * BW_cache)            C on its way out
 *   share = panels / units, rounded up where it is more than 1;  panels = ceil(n /
 * columns) * batch
 *
 * A panel stays in a core's first cache while the rows pass by: only its unpacking, stored bytes in and the
 * operand's out, goes through the shared cache. Rows are dealt evenly to blocks and register tiles, so that
 * none is padded, and to units where panels are fewer. */
#include "cost/prepared.h"

void gemm_panels_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    enum resource unit = prepared_unit(prepared);
    double blocks = ceil_fast(rows / gemm->panel_rows), columns = ceil_fast(gemm->n / gemm->panel_columns);
    double even = columns * gemm->batch * gemm->inverse_units, whole = ceil_fast(even);
    double panel = gemm->panel_columns * gemm->k;
    double multiply = (even > 1 ? whole : even) * panel * rows * gemm->compute_s;
    double unpack = whole * blocks * panel * gemm->unpack_s;
    double a_bytes = gemm->pass_row_bytes > 0 ? 0 : rows * gemm->k * gemm->batch * gemm->a_bytes;
    double missing = target->repeated ? 0 : missing_bytes(target, a_bytes);
    double convert =
        (2 * a_bytes - missing) * gemm->cache_s * gemm->inverse_units + missing / gemm->memory_rate;
    double store = rows * gemm->n * gemm->batch * gemm->c_bytes * gemm->cache_s * gemm->inverse_units;
    double memory_s = greater(cost->memory_bytes - missing, 0) / gemm->memory_rate,
           busy = multiply + unpack + convert + store;
    cost->use[unit] = busy;
    cost->use[RESOURCE_CACHE] = unpack + convert + store;
    cost->use[RESOURCE_MEMORY] = memory_s;
    cost->floor[unit] = 2 * rows * gemm->n * gemm->k * gemm->batch / prepared->peak;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    double overhead = gemm->fixed + gemm->omega, waits = join(busy, memory_s) - greater(busy, memory_s);
    finish_with_overhead(target, prepared->format, overhead + waits, overhead, cost);
}
