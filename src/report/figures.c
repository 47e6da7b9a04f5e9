#include "report/figures.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(struct answer, member)

const struct figure figures[] = {
    {"ttft_s", "time to first token", HUMAN_SECONDS, AT(ttft_s), true},
    {"ttft_low_s", "  lower end", HUMAN_SECONDS, AT(ttft_interval.low), false},
    {"ttft_high_s", "  upper end", HUMAN_SECONDS, AT(ttft_interval.high), false},
    {"tpot_s", "time per output token", HUMAN_SECONDS, AT(tpot_s), true},
    {"tpot_low_s", "  lower end", HUMAN_SECONDS, AT(tpot_interval.low), false},
    {"tpot_high_s", "  upper end", HUMAN_SECONDS, AT(tpot_interval.high), false},
    {"latency_s", "latency", HUMAN_SECONDS, AT(latency_s), true},
    {"throughput_tokens_per_s", "throughput", HUMAN_TOKENS_PER_SECOND, AT(throughput_tokens_per_s), true},
    {"throughput_tokens_per_s_per_device", "  per device", HUMAN_TOKENS_PER_SECOND,
     AT(throughput_tokens_per_s_per_device), true},
    {"requests_per_s", "requests", HUMAN_PER_SECOND, AT(requests_per_s), true},
    {"memory_weights_bytes", "weights", HUMAN_BYTES, AT(memory.weights), true},
    {"memory_kv_bytes", "KV cache", HUMAN_BYTES, AT(memory.kv), true},
    {"memory_activation_bytes", "activations", HUMAN_BYTES, AT(memory.activations), true},
    {"memory_reserved_bytes", "reserved", HUMAN_BYTES, AT(memory.reserved), true},
    {"memory_total_bytes", "memory per device", HUMAN_BYTES, AT(memory.total), true},
    {"memory_capacity_bytes", "  of", HUMAN_BYTES, AT(memory.capacity), true},
    {"energy_j", "energy", HUMAN_JOULES, AT(energy_j), true},
    {"energy_j_per_output_token", "  per output token", HUMAN_JOULES, AT(energy_j_per_output_token), true},
    {"power_w", "power", HUMAN_WATTS, AT(power_w), true},
    {"cost_usd", "cost", HUMAN_USD, AT(cost_usd), true},
    {"cost_usd_per_million_output_tokens", "  per M output tokens", HUMAN_USD,
     AT(cost_usd_per_million_output_tokens), true},
    {"carbon_kg", "carbon (CO2e)", HUMAN_KILOGRAMS, AT(carbon_kg), true},
};
const size_t figure_count = sizeof figures / sizeof figures[0];

double answer_figure(const struct figure *figure, const struct answer *answer)
{
    double value;
    memcpy(&value, (const char *)answer + figure->offset, sizeof value);
    return value;
}
