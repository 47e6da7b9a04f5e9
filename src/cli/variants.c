#include "cli/variants.h"

#include <string.h>

/* Each such flag is an axis. */
static const enum option_id axes[] = {
    OPTION_MODEL,  OPTION_DEVICE, OPTION_DEVICES, OPTION_SOFTWARE,      OPTION_WORKLOAD,    OPTION_TP,
    OPTION_PP,     OPTION_EP,     OPTION_DP,      OPTION_MICRO_BATCHES, OPTION_EXPERT_SKEW, OPTION_BATCH,
    OPTION_PROMPT, OPTION_OUTPUT, OPTION_WEIGHTS, OPTION_ACTIVATIONS,   OPTION_KV,          OPTION_WITH,
};
enum { AXIS_COUNT = sizeof axes / sizeof axes[0] };

size_t variant_count(const struct options *options)
{
    size_t count = 1;
    for (size_t a = 0; a < AXIS_COUNT && count <= VALUES_MOST * VALUES_MOST; a++)
        count *= options->counts[axes[a]] > 1 ? options->counts[axes[a]] : 1;
    return count;
}

/* The options of one variant: each axis has the value whose turn it is. */
static void pick(const struct options *all, size_t variant, struct options *one)
{
    *one = *all;
    for (size_t a = AXIS_COUNT; a-- > 0;) {
        enum option_id id = axes[a];
        if (all->counts[id] < 2)
            continue;
        one->values[id] = &all->values[id][variant % all->counts[id]];
        one->counts[id] = 1;
        variant /= all->counts[id];
    }
}

/* Names speak for themselves; a bare number needs its flag: "tp 4". */
const char *variant_label(struct session *session, size_t variant)
{
    const struct options *all = &session->options;
    struct options one;
    const char *label = "";
    pick(all, variant, &one);
    for (size_t a = 0; a < AXIS_COUNT && label != NULL; a++) {
        enum option_id id = axes[a];
        if (all->counts[id] < 2)
            continue;
        bool bare = option_table[id].kind == VALUE_NUMBER || id == OPTION_KV || id == OPTION_ACTIVATIONS;
        label = arena_printf(session->arena, "%s%s%s%s%s", label, label[0] != '\0' ? " " : "",
                             bare ? option_table[id].name : "", bare ? " " : "", option_text(&one, id));
    }
    return label;
}

/* --with a+b: one variant with both; "none": without any. */
static bool split_techniques(struct session *session, struct string_list *techniques)
{
    if (techniques->count != 1)
        return true;
    const char *text = techniques->items[0];
    techniques->items = ARENA_ARRAY(session->arena, const char *, strlen(text) + 1);
    techniques->count = 0;
    if (techniques->items == NULL)
        return diag_error(&session->diag, NOWHERE, "out of memory");
    if (strcmp(text, "none") == 0)
        return true;
    while (true) {
        size_t length = strcspn(text, "+");
        techniques->items[techniques->count++] = arena_strndup(session->arena, text, length);
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

bool variant_question(struct session *session, size_t variant, struct question *question)
{
    struct options all = session->options;
    pick(&all, variant, &session->options);
    bool put = session_question(session, question) && split_techniques(session, &question->techniques);
    session->options = all;
    return put;
}

const struct result *variant_estimate(struct session *session, size_t variant)
{
    struct question question;
    return variant_question(session, variant, &question) ? session_estimate(session, &question) : NULL;
}
