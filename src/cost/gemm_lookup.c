/* Products by table look-up: weights of b bits are b planes of one bit each, and
 *   sum over k of A[m,k] B[n,k] = sum over planes i of 2^i * sum over groups of g activations of a signed
 * sum, of which there are 2^g for a group, 2^(g-1) where half are kept and the others are their negatives
 * (mirrored). They are put into a table once for a row, E = 2^g or 2^(g-1) entries for every g activations,
 * and g bits of a plane say which entry to add: (k / g) b look-ups for a result in place of k multiply-adds.
 * Published kernels: LUT-GEMM arXiv:2206.09557 (GPUs), T-MAC arXiv:2407.00088 (CPUs), LUT Tensor Core
 * arXiv:2408.06003 (matrix units made of tables).
 *
 * Making a table takes an addition for each entry (a Gray code: from one to the next a single sign changes),
 * and, where entries are integers, three more: largest magnitude, scale, rounding.
 *
 * Who looks up:
 *   - matrix units made of tables (lookup_matrix): b / rate for a multiply-add stood in for;
 *   - CPUs: byte shuffles, lookup_bytes a clock and core. An entry of e bytes takes e of them, a table of
 * more than 16 entries E / 16 (a register of 16 bytes is what one shuffle reads). They issue in the vector
 *     pipes, so that what else is done comes on top: an operation to take an index of 4 bits out of its byte
 *     (mask or shift), two to add a looked-up byte (signed bytes widen to 16-bit sums, in two halves) or one
 *     to add wider entries, one to negate them where tables are mirrored. Of a vector instruction each fp32
 *     lane does 4 bytes;
 *   - GPUs: reads of shared memory, 32 banks of 4 bytes a clock and SM (CUDA C++ Programming Guide, shared
 *     memory), which is the bandwidth of the tier l1; a look-up takes a bank for a clock whatever the width
 * of the entry. 32 threads that read at random wait for the fullest bank: of 32 balls in 32 boxes the fullest
 *     holds 3.53 in the mean, never more than the table has words in a bank, and reads of one word are one.
 *     The lanes do three operations for each: index out of the weights, address, addition; and the negation.
 */
#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <math.h>
#include <string.h>

enum {
    ADDITION_FLOPS = 2, /* a lane's clock counts as a multiply-add */
    QUANTIZE_ADDITIONS = 3,
    SHUFFLE_TABLE = 16, /* bytes */
    LANE_BYTES = 4,     /* of an fp32 lane */
    BANKS = 32,
    BANK_BYTES = 4,
    THREAD_OPERATIONS = 3
};

/* Mean of the fullest of 32 boxes that 32 balls fall into (exact enumeration of the multinomial). */
#define FULLEST_BANK 3.53

static double table_entries(const struct low_bit_work *work)
{
    return ldexp(1, (int)work->group - (work->mirrored ? 1 : 0));
}

static double planes_of(const struct element_type *weights)
{
    return ceil(weights->value_bits);
}

/* The memory that a GPU's threads share within a unit. */
static const struct memory_tier *shared_memory(const struct device *device)
{
    for (size_t i = 0; i < device->tier_count; i++)
        if (device->tiers[i].cache && device->tiers[i].per_unit && strcmp(device->tiers[i].name, "l1") == 0)
            return &device->tiers[i];
    return NULL;
}

static void look_up_by_shuffles(const struct target *target, const struct low_bit_work *work, double lookups,
                                struct low_bit_form *form)
{
    const struct device *device = target->device;
    double entry = work->table.value_bits / 8;
    double shuffled = lookups * entry * greater(table_entries(work) / SHUFFLE_TABLE, 1);
    double adds = (entry > 1 ? 1 : 2) + (work->mirrored ? 1 : 0), extraction = 1;
    double lane_operations = lookups * (entry * adds + extraction) / LANE_BYTES;
    form->value_s = shuffled / (target->units * device->units.clock * device->lookup_bytes) +
                    lane_operations * ADDITION_FLOPS / target->vector_flops;
}

static void look_up_in_banks(const struct target *target, const struct low_bit_work *work, double lookups,
                             const struct memory_tier *shared, struct low_bit_form *form)
{
    double words = table_entries(work) * work->table.value_bits / 8 / BANK_BYTES / BANKS;
    double conflicts = lesser(greater(words, 1), FULLEST_BANK);
    form->value_s = lookups * conflicts * BANK_BYTES / (shared->bandwidth * target->units);
    double operations = THREAD_OPERATIONS + (work->mirrored ? 1 : 0);
    form->lane_value_s = lookups * operations * ADDITION_FLOPS / target->vector_flops;
    form->lanes_apart = true;
}

static const char *set_unit(const struct prepared_op *prepared, struct arena *arena, double planes,
                            struct low_bit_form *form)
{
    const struct target *target = prepared->target;
    const struct device *device = target->device;
    const struct low_bit_work *work = &prepared->op->gemm.low_bit;
    const struct memory_tier *shared = shared_memory(device);
    double lookups = planes / work->group;
    form->unit = RESOURCE_VECTOR;
    if (device->lookup_matrix > 0) {
        form->unit = RESOURCE_COMPUTE;
        form->value_s = 2 * planes / device->lookup_matrix;
        form->lanes_apart = true;
    } else if (device->class == CLASS_GPU && shared) {
        look_up_in_banks(target, work, lookups, shared, form);
    } else if (device->class == CLASS_CPU && device->lookup_bytes > 0 && device->units.clock > 0) {
        look_up_by_shuffles(target, work, lookups, form);
    } else {
        return arena_printf(
            arena,
            "%s has no rate of look-ups: lookup_matrix, lookup_bytes and units.clock of a CPU, "
            "or a tier l1 per unit of a GPU",
            device->id);
    }
    return NULL;
}

const char *lookup_form(const struct prepared_op *prepared, struct arena *arena,
                        const struct element_type *weights, struct low_bit_form *form)
{
    const struct low_bit_work *work = &prepared->op->gemm.low_bit;
    double planes = planes_of(weights), entries = table_entries(work);
    double additions = 1 + (work->table.format == FORMAT_INT8 ? QUANTIZE_ADDITIONS : 0);
    double lanes = prepared->target->vector_flops;
    *form = (struct low_bit_form){.row_step = 1, .depth = work->group, .preparation = work->preparation};
    bool units_add = prepared->target->device->lookup_matrix > 0; /* planes are shifted and summed in them */
    form->result_lane_s = (units_add ? 1 : planes) * ADDITION_FLOPS / lanes;
    form->scale_group = weights->grain == GRAIN_GROUP ? weights->group_size : 0;
    form->prepare_lane_s = entries / work->group * additions * ADDITION_FLOPS / lanes;
    form->prepared_bytes = entries / work->group * work->table.value_bits / 8;
    return set_unit(prepared, arena, planes, form);
}
