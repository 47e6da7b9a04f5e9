#include "report/answer.h"

#include "report/bar.h"
#include "report/human.h"
#include "report/ops.h"

#include <math.h>

enum { BAR_WIDTH = 30, TOP_OPS = 6 };

/* What a report is written with. */
struct sheet {
    const struct result *result;
    const struct answer *answer;
    const struct fitting *fitting;
    enum table_format format;
    bool colour;
    struct arena *arena;
    struct text *out;
};

static void heading(const struct sheet *sheet, const char *title, const char *beside)
{
    if (sheet->format == TABLE_MARKDOWN) {
        text_printf(sheet->out, "\n### %s\n\n", title);
        if (beside[0] != '\0')
            text_printf(sheet->out, "%s\n\n", beside);
        return;
    }
    text_add(sheet->out, "\n");
    tone_add(sheet->out, sheet->colour, TONE_STRONG, title);
    if (beside[0] != '\0')
        text_printf(sheet->out, "  %s", beside);
    text_add(sheet->out, "\n");
}

static void put(const struct sheet *sheet, const struct table *table)
{
    if (!table_write(table, sheet->format, sheet->colour, 2, sheet->out))
        sheet->out->failed = true;
}

/* Four columns without headings: a name, its figure, two remarks. */
static struct table *plain_table(const struct sheet *sheet, enum side third)
{
    struct table *table = table_new(sheet->arena);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", "", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "", third, COLUMN_BOTH);
    table_column(table, "", "", SIDE_LEFT, COLUMN_BOTH);
    return table;
}

static void latency_row(const struct sheet *sheet, struct table *table, const char *name, double value,
                        const struct interval *interval, double goal, bool met)
{
    table_row(table, TONE_PLAIN);
    table_text(table, name);
    table_text(table, human(sheet->arena, HUMAN_SECONDS, value));
    table_text(table, interval != NULL ? human_range(sheet->arena, interval->low, interval->high) : "");
    table_tone(table, TONE_MUTED);
    table_text(table, goal > 0.0
                          ? arena_printf(sheet->arena, "goal %s: %s",
                                         human(sheet->arena, HUMAN_SECONDS, goal), met ? "met" : "missed")
                          : "");
    table_tone(table, met ? TONE_GOOD : TONE_BAD);
}

static void latency_block(const struct sheet *sheet)
{
    const struct answer *answer = sheet->answer;
    const struct slo *slo = &sheet->result->resolved->workload.slo;
    struct table *table = plain_table(sheet, SIDE_LEFT);
    heading(sheet, "Latency",
            arena_printf(sheet->arena, "with %.0f%% intervals%s", 100.0 * answer->interval_level,
                         answer->interval_draws > 0 ? ", sampled" : ""));
    latency_row(sheet, table, "to the first token (TTFT)", answer->ttft_s, &answer->ttft_interval, slo->ttft,
                answer->ttft_met);
    latency_row(sheet, table, "per output token (TPOT)", answer->tpot_s, &answer->tpot_interval, slo->tpot,
                answer->tpot_met);
    latency_row(sheet, table, "to the last token", answer->latency_s, NULL, slo->latency,
                answer->latency_met);
    put(sheet, table);
}

static void throughput_block(const struct sheet *sheet)
{
    const struct answer *answer = sheet->answer;
    struct arena *arena = sheet->arena;
    struct text line = {0};
    text_add(&line, human(arena, HUMAN_TOKENS_PER_SECOND, answer->throughput_tokens_per_s));
    if (answer->devices > 1)
        text_printf(&line, " (%s per device)",
                    human(arena, HUMAN_NUMBER, answer->throughput_tokens_per_s_per_device));
    text_printf(&line, " · %s requests/s", human(arena, HUMAN_NUMBER, answer->requests_per_s));
    heading(sheet, "Throughput", line.data != NULL ? line.data : "");
    text_free(&line);
}

static void memory_row(const struct sheet *sheet, struct table *table, const char *name, double bytes,
                       enum tone tone)
{
    double share = bytes / sheet->answer->memory.capacity;
    table_row(table, TONE_PLAIN);
    table_text(table, name);
    table_text(table, human(sheet->arena, HUMAN_BYTES, bytes));
    table_text(table, human_percent(sheet->arena, share));
    table_text(table, bar(sheet->arena, share, BAR_WIDTH));
    table_tone(table, tone);
}

static void memory_verdict(const struct sheet *sheet)
{
    const struct memory_plan *memory = &sheet->answer->memory;
    const char *free_bytes = human(sheet->arena, HUMAN_BYTES, fabs(memory->capacity - memory->total));
    text_add(sheet->out, sheet->format == TABLE_MARKDOWN ? "\n" : "  ");
    if (memory->fits) {
        tone_add(sheet->out, sheet->colour, TONE_GOOD, "fits");
        text_printf(sheet->out, ", %s left\n", free_bytes);
        return;
    }
    const char *line = fitting_line(sheet->result, sheet->fitting, sheet->arena);
    tone_add(sheet->out, sheet->colour, TONE_BAD, "does not fit");
    text_printf(sheet->out, ", %s short%s%s\n", free_bytes, line[0] != '\0' ? "; " : "", line);
}

static void memory_block(const struct sheet *sheet)
{
    const struct memory_plan *memory = &sheet->answer->memory;
    struct table *table = plain_table(sheet, SIDE_RIGHT);
    heading(sheet, "Memory",
            arena_printf(sheet->arena, "per device, of %s that the software may use",
                         human(sheet->arena, HUMAN_BYTES, memory->capacity)));
    memory_row(sheet, table, "weights", memory->weights, TONE_PLAIN);
    memory_row(sheet, table, "KV cache", memory->kv, TONE_PLAIN);
    memory_row(sheet, table, "activations", memory->activations, TONE_PLAIN);
    memory_row(sheet, table, "reserved", memory->reserved, TONE_PLAIN);
    memory_row(sheet, table, "total", memory->total, memory->fits ? TONE_GOOD : TONE_BAD);
    put(sheet, table);
    memory_verdict(sheet);
}

static void price_row(struct table *table, const char *name, const char *value, const char *beside)
{
    table_row(table, TONE_PLAIN);
    table_text(table, name);
    table_text(table, value);
    table_text(table, beside);
    table_tone(table, TONE_MUTED);
}

/* "idle 20% · compute 48% · memory 29% · cache 3%" */
static const char *energy_shares(const struct sheet *sheet)
{
    double parts[ENERGY_PART_COUNT], whole = sheet->answer->energy_j, idle = whole;
    struct arena *arena = sheet->arena;
    result_energy(sheet->result, parts);
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        idle -= parts[e];
    const char *line = arena_printf(arena, "idle %.0f%%", 100.0 * fmax(idle, 0.0) / whole);
    for (int e = 0; e < ENERGY_PART_COUNT && line != NULL; e++)
        if (parts[e] > 0.005 * whole)
            line = arena_printf(arena, "%s · %s %.0f%%", line, energy_part_name((enum energy_part)e),
                                100.0 * parts[e] / whole);
    return line != NULL ? line : "";
}

static void price_block(const struct sheet *sheet)
{
    const struct answer *answer = sheet->answer;
    struct arena *arena = sheet->arena;
    struct table *table = plain_table(sheet, SIDE_LEFT);
    heading(sheet, "Energy and money", "of the whole batch");
    if (isfinite(answer->energy_j))
        price_row(table, "energy", human(arena, HUMAN_JOULES, answer->energy_j),
                  arena_printf(arena, "%s per output token · %s on average",
                               human(arena, HUMAN_JOULES, answer->energy_j_per_output_token),
                               human(arena, HUMAN_WATTS, answer->power_w)));
    else
        price_row(table, "energy", "-", "no power figures for this device");
    if (isfinite(answer->energy_j))
        price_row(table, "", "", energy_shares(sheet));
    if (isfinite(answer->cost_usd))
        price_row(table, "cost", human(arena, HUMAN_USD, answer->cost_usd),
                  arena_printf(arena, "%s per million output tokens",
                               human(arena, HUMAN_USD, answer->cost_usd_per_million_output_tokens)));
    else
        price_row(table, "cost", "-", "no price for this device");
    if (isfinite(answer->carbon_kg))
        price_row(table, "carbon", human(arena, HUMAN_KILOGRAMS, answer->carbon_kg), "CO2e");
    put(sheet, table);
}

static void op_columns(struct table *table)
{
    table_column(table, "", "operator", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", "time", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "share", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "bound", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", "of roof", SIDE_RIGHT, COLUMN_BOTH);
}

static void op_line(const struct sheet *sheet, struct table *table, const char *name, double time,
                    double share, const char *bound, double roof)
{
    table_row(table, TONE_PLAIN);
    table_text(table, name);
    table_text(table, human(sheet->arena, HUMAN_SECONDS, time));
    table_text(table, human_percent(sheet->arena, share));
    table_text(table, bound);
    table_text(table, isfinite(roof) ? human_percent(sheet->arena, roof) : "");
}

/* What a workflow's calls do when; nothing where the question is one call. */
static void calls_block(const struct sheet *sheet)
{
    const struct call_set *set = sheet->result->resolved->deployment.calls;
    if (set == NULL)
        return;
    struct table *table = table_new(sheet->arena);
    heading(sheet, "Calls", "of each batch, expected");
    table_column(table, "", "call", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "", "sequences", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "turns", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "runs", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "from", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "", "to", SIDE_RIGHT, COLUMN_BOTH);
    for (int i = 0; i < set->graph->count; i++) {
        const struct call_time *time = &sheet->answer->call_times[i];
        table_row(table, TONE_PLAIN);
        table_text(table, set->graph->calls[i].name);
        table_text(table, human(sheet->arena, HUMAN_NUMBER, time->sequences));
        table_text(table, arena_printf(sheet->arena, "%d", set->graph->calls[i].turns));
        table_text(table, human(sheet->arena, HUMAN_NUMBER, time->executions));
        table_text(table, human(sheet->arena, HUMAN_SECONDS, time->start));
        table_text(table, human(sheet->arena, HUMAN_SECONDS, time->end));
    }
    put(sheet, table);
}

/* The longest operators and the rest in one line, so that the shares sum to the whole. */
static void phase_block(const struct sheet *sheet, const struct phase_cost *phase)
{
    int top[TOP_OPS];
    int count = phase_top_ops(phase, TOP_OPS, top);
    double whole = phase_rank_time(phase), rest = whole - phase->step.host_gap;
    struct table *table = table_new(sheet->arena);
    phase_heading(phase, sheet->format == TABLE_MARKDOWN, sheet->colour, sheet->arena, sheet->out);
    op_columns(table);
    for (int i = 0; i < count; i++) {
        struct op_row row;
        op_row_make(&row, phase, top[i]);
        rest -= row.exposed;
        op_line(sheet, table, row.name, row.exposed, row.share, arena_strdup(sheet->arena, row.bound),
                row.roof);
    }
    if (rest > 1e-9 * whole)
        op_line(sheet, table, "other operators", rest, rest / whole, "", (double)NAN);
    if (phase->step.host_gap > 0.0)
        op_line(sheet, table, "waiting for the host", phase->step.host_gap, phase->step.host_gap / whole,
                "host", (double)NAN);
    put(sheet, table);
}

static void cautions(const struct sheet *sheet)
{
    if (sheet->result->warning_count > 0)
        text_add(sheet->out, "\n");
    for (size_t i = 0; i < sheet->result->warning_count; i++) {
        tone_add(sheet->out, sheet->colour, TONE_WARN,
                 sheet->format == TABLE_MARKDOWN ? "- note: " : "note: ");
        text_printf(sheet->out, "%s\n", sheet->result->warnings[i]);
    }
}

static void write_sheet(const struct sheet *sheet)
{
    latency_block(sheet);
    throughput_block(sheet);
    memory_block(sheet);
    price_block(sheet);
    calls_block(sheet);
    for (int i = 0; i < sheet->result->breakdown.count; i++)
        phase_block(sheet, &sheet->result->breakdown.phases[i]);
    cautions(sheet);
}

void answer_text(const struct result *result, const struct fitting *fitting, bool colour, struct arena *arena,
                 struct text *out)
{
    tone_printf(out, colour, TONE_STRONG, "%s", answer_title(result, arena));
    text_printf(out, "\n%s\n", answer_setting(result, arena));
    write_sheet(&(struct sheet){result, &result->answer, fitting, TABLE_TEXT, colour, arena, out});
}

void answer_markdown(const struct result *result, const struct fitting *fitting, struct arena *arena,
                     struct text *out)
{
    text_printf(out, "## %s\n\n%s\n", answer_title(result, arena), answer_setting(result, arena));
    write_sheet(&(struct sheet){result, &result->answer, fitting, TABLE_MARKDOWN, false, arena, out});
}
