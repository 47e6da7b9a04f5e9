/* Small helpers that all operator families share. Private to cost/. */
#ifndef RAFTER_COST_RATES_H
#define RAFTER_COST_RATES_H

#include "cost/cost.h"

/* Peak of a format on the device, matrix units first, else lanes; 0: neither. */
double format_peak(const struct device *device, enum number_format format);

/* Orders the calibration blocks that apply to the target's device and software. */
bool target_order_blocks(struct target *target, struct diag *diag);

/* A calibrated efficiency, held to (0, 1] so that no prediction beats the data sheet, whatever a file says.
 */
double efficiency(double scalar);

/* The fullest rank's part of the sequences: the op's share of all of them together, rounded up. */
double sequence_share(const struct op *op, const struct segment *segments, int count);

/* Bytes of activations that main memory moves. Between two operators an LRU-like cache through which the
 * weights stream keeps about half of itself for operands just produced; what exceeds that half misses. Of
 * what the units' own caches give up, the shared one may keep but a part (target->cache_admits). */
double missing_bytes(const struct target *target, double bytes);

enum { EXP_FLOPS = 16 }; /* lane FLOPs of an exponential: a polynomial of about that length */
/* On CPUs, where a lane starts an instruction of any kind in a multiply-add's place: an exponential's are
 * some 20 (clamps, rounding, a polynomial of degree 7, the power of 2), those of a division by the reciprocal
 * some 4. */
enum { CORE_EXP_FLOPS = 40, CORE_DIVISION_FLOPS = 8 };

/* s of a clock, divided by the units that have it: what one unit's clock takes all of them together. Of a
 * device whose clock is not known its lanes' rate stands in, at 128 lanes a unit. */
double unit_clock_s(const struct target *target);

/* Energy of the op by where it goes. */
void energy_parts(const struct target *target, enum number_format format, const struct op_cost *cost,
                  double parts[ENERGY_PART_COUNT]);

/* A capped device spreads an op's energy over as long as the cap demands: clocks drop, the work stays.
 * Voltage would drop too and save energy: that is left out, so capped times are upper bounds. */
void keep_power_limit(const struct target *target, struct op_cost *cost);

/* As cost_finish, where `overhead_s` (launches, waves' fixed parts) says how much of the time no resource is
 * to blame for: more than half of it makes the op latency-bound. */
void finish_with_overhead(const struct target *target, enum number_format format, double fixed_s,
                          double overhead_s, struct op_cost *cost);

/* Roofline without overheads, for target->ideal: uses equal floors. flops on matrix units or lanes at `peak`,
 * the operands in cost->bytes, cost->memory_bytes of which from memory. */
void ideal_cost(const struct target *target, enum number_format format, bool matrix, double peak,
                struct op_cost *cost);

/* ceil and floor for 0 <= x without a library call, so that loops over tiles vectorise: adding and
 * subtracting 2^52 rounds to the nearest integer; exact and monotone below 2^52, and above it x is an integer
 * already. */
static inline double ceil_fast(double x)
{
    double rounded = (x + 0x1p52) - 0x1p52;
    return rounded + (rounded < x ? 1.0 : 0.0);
}

static inline double floor_fast(double x)
{
    double rounded = (x + 0x1p52) - 0x1p52;
    return rounded - (rounded > x ? 1.0 : 0.0);
}

/* 1 / units, a shade low, so that ceil(items * inverse) of an exact multiple is not pushed up by rounding. */
static inline double inverse_count(double units)
{
    return (1 - 0x1p-50) / units;
}

static inline double greater(double a, double b)
{
    return a > b ? a : b;
}

static inline double lesser(double a, double b)
{
    return a < b ? a : b;
}

/* Mean time of two machines in a row that wait for each other: gemm.c. */
static inline double join(double busy, double memory_s)
{
    double slow = greater(busy, memory_s), fast = lesser(busy, memory_s);
    if (!(fast > 0))
        return slow;
    double r = fast / slow, cube = r * r * r;
    return slow * (1 + cube * cube / ((1 + cube) * (1 + r + r * r)));
}

#endif
