#include "report/asked.h"

#include "report/answer.h"
#include "report/human.h"

const char *limit_label(enum limit limit)
{
    static const char *const labels[LIMIT_COUNT] = {
        [LIMIT_NONE] = "nothing",
        [LIMIT_MEMORY] = "memory per device",
        [LIMIT_TTFT] = "TTFT",
        [LIMIT_TPOT] = "TPOT",
        [LIMIT_LATENCY] = "latency",
        [LIMIT_COST] = "cost per M tokens",
        [LIMIT_THROUGHPUT] = "throughput",
        [LIMIT_REFUSED] = "what can be asked",
    };
    return labels[limit];
}

const char *limit_human(struct arena *arena, enum limit limit, double value)
{
    static const enum human_kind kinds[LIMIT_COUNT] = {
        [LIMIT_NONE] = HUMAN_NUMBER,
        [LIMIT_MEMORY] = HUMAN_BYTES,
        [LIMIT_TTFT] = HUMAN_SECONDS,
        [LIMIT_TPOT] = HUMAN_SECONDS,
        [LIMIT_LATENCY] = HUMAN_SECONDS,
        [LIMIT_COST] = HUMAN_USD,
        [LIMIT_THROUGHPUT] = HUMAN_TOKENS_PER_SECOND,
        [LIMIT_REFUSED] = HUMAN_NUMBER,
    };
    return human(arena, kinds[limit], value);
}

const char *limits_line(const struct asked *asked, struct arena *arena)
{
    static const struct answer nobody; /* memory's bound is the answer's own */
    double memory = asked->limits.memory;
    const char *line = asked->limits.any_memory ? ""
                       : memory > 0.0
                           ? arena_printf(arena, "memory at most %s", human(arena, HUMAN_BYTES, memory))
                           : "memory";
    for (int l = LIMIT_TTFT; l <= LIMIT_THROUGHPUT && line != NULL; l++) {
        double bound = limit_bound(&asked->limits, &nobody, (enum limit)l);
        if (bound > 0.0)
            line = arena_printf(arena, "%s%s%s %s %s", line, line[0] != '\0' ? ", " : "",
                                limit_label((enum limit)l), l == LIMIT_THROUGHPUT ? "at least" : "at most",
                                limit_human(arena, (enum limit)l, bound));
    }
    line = arena_printf(arena, "limits: %s%s", line != NULL ? line : "",
                        asked->limits_of_workload ? " (the workload's objectives)" : "");
    return line != NULL ? line : "";
}

static void set_limit(json_t *object, const char *key, double bound)
{
    json_object_set_new(object, key, bound > 0.0 ? json_figure(bound) : json_null());
}

static json_t *limits_json(const struct asked *asked)
{
    const struct limits *limits = &asked->limits;
    json_t *object = json_object();
    set_limit(object, "ttft_s", limits->ttft);
    set_limit(object, "tpot_s", limits->tpot);
    set_limit(object, "latency_s", limits->latency);
    set_limit(object, "cost_usd_per_million_output_tokens", limits->usd_per_million);
    set_limit(object, "memory_bytes", limits->memory);
    set_limit(object, "throughput_tokens_per_s", limits->throughput);
    json_object_set_new(object, "of_workload", json_boolean(asked->limits_of_workload));
    return object;
}

json_t *asked_json(const struct asked *asked)
{
    json_t *object = json_object();
    json_object_set_new(object, "schema_version", json_integer(SCHEMA_VERSION));
    json_object_set_new(object, "model", json_text(asked->model));
    json_object_set_new(object, "device", json_text(asked->device));
    json_object_set_new(object, "software", json_text(asked->software));
    json_object_set_new(object, "limits", limits_json(asked));
    return object;
}

void asked_text(const struct asked *asked, struct text *out)
{
    tone_printf(out, asked->colour, TONE_STRONG, "%s%s", asked->markdown ? "## " : "", asked->title);
    text_add(out, asked->markdown ? "\n\n" : "\n");
    if (asked->setting[0] != '\0')
        text_printf(out, "%s\n", asked->setting);
}

void asked_heading(const struct asked *asked, const char *heading, struct text *out)
{
    if (asked->markdown) {
        text_printf(out, "\n### %s\n\n", heading);
        return;
    }
    text_add(out, "\n");
    tone_add(out, asked->colour, TONE_STRONG, heading);
    text_add(out, "\n");
}

void asked_table(const struct asked *asked, const struct table *table, struct text *out)
{
    if (!table_write(table, asked->markdown ? TABLE_MARKDOWN : TABLE_TEXT, asked->colour, 2, out))
        out->failed = true;
}
