/* Layers that drop tokens of the prompt: from given depths on only a share of them goes on (LazyLLM
 * arXiv:2407.14057, FastV, AIM arXiv:2412.03248), so that a prompt of N tokens, F of which are never dropped,
 * costs its share at each layer
 *   tokens_l = F + r_l (N - F),   attention pairs ~ tokens_l^2 / 2,   KV tokens_l
 * Deferred tokens are computed by decode steps when they are wanted after all: of the tokens that a layer has
 * dropped (E - r_l)+ come back until the output is out, at an even pace, E the share ever computed. */
#include "base/quantity.h"
#include "mechanism/mechanism.h"

#include <stddef.h>
#include <stdlib.h>

struct token_pruning_parameters {
    struct string_list schedule;
    bool gradual;
    bool visual_only;
    double fixed_tokens;
    double computed_at_last;
};

static bool read_point(struct rewrite *rewrite, const char *text, const char **end)
{
    struct token_drops *drops = &rewrite->request->drops;
    char *after, *last;
    double depth = strtod(text, &after);
    double share = *after == ':' ? strtod(after + 1, &last) : -1;
    if (*after != ':' || last == after + 1 || (*last != '\0' && *last != ' '))
        return diag_error(rewrite->diag, NOWHERE,
                          "token_pruning.schedule: found \"%.40s\", expected DEPTH:SHARE such as 0.3:0.7",
                          text);
    if (!(depth >= 0 && depth <= 1 && share >= 0 && share <= 1))
        return diag_error(rewrite->diag, NOWHERE,
                          "token_pruning.schedule: %.20s: depth and share are from 0 to 1", text);
    if (drops->count == DROPS_MOST)
        return diag_error(rewrite->diag, NOWHERE, "token_pruning.schedule: more than %d points", DROPS_MOST);
    int at = drops->count++;
    if (at > 0 && !(depth > drops->depth[at - 1] && share <= drops->share[at - 1]))
        return diag_error(rewrite->diag, NOWHERE,
                          "token_pruning.schedule: depths grow and shares fall from point to point");
    drops->depth[at] = depth;
    drops->share[at] = share;
    *end = last;
    return true;
}

static bool read_schedule(struct rewrite *rewrite, const struct string_list *schedule)
{
    for (size_t i = 0; i < schedule->count; i++)
        for (const char *text = schedule->items[i]; *text != '\0';) {
            if (*text == ' ')
                text++;
            else if (!read_point(rewrite, text, &text))
                return false;
        }
    return true;
}

/* Nothing is dropped: the baseline, exactly. */
static void forget_idle(struct token_drops *drops)
{
    if (drops->count > 0 && drops->share[drops->count - 1] == 1)
        drops->count = 0;
}

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct token_pruning_parameters *p = parameters;
    struct request *request = rewrite->request;
    struct token_drops *drops = &request->drops;
    if (rewrite->generation && rewrite->generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "token_pruning: a masked-diffusion model needs all positions in each step");
    if (drops->count > 0)
        return diag_error(rewrite->diag, NOWHERE, "token_pruning: another technique drops tokens already");
    if (request->segments.tokens > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "token_pruning: cached segments have KV in all layers; drop no tokens of them");
    if (p->visual_only && drops->fixed == 0)
        return diag_error(
            rewrite->diag, NOWHERE,
            "token_pruning.visual_only: there are no visual tokens; put multimodal_tokens before");
    if (!p->visual_only)
        drops->fixed = p->fixed_tokens;
    drops->gradual = p->gradual;
    drops->revived = p->computed_at_last;
    if (!read_schedule(rewrite, &p->schedule))
        return false;
    forget_idle(drops);
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    (void)parameters;
    for (size_t i = 0; i < rewrite->model->block_count; i++) {
        int mixer = rewrite->model->blocks[i].mixer;
        if (mixer != MIXER_ATTENTION && mixer != MIXER_MLA && mixer != MIXER_NONE)
            return diag_error(rewrite->diag, NOWHERE,
                              "token_pruning: %s has recurrent layers, whose state needs every token",
                              rewrite->model->id);
    }
    if (rewrite->model->encoder_layers > 0)
        return diag_error(rewrite->diag, NOWHERE, "token_pruning: %s has an encoder: not modelled",
                          rewrite->model->id);
    return true;
}

static const struct field fields[] = {
    {.key = "schedule",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct token_pruning_parameters, schedule),
     .required = true,
     .doc =
         "points DEPTH:SHARE, such as \"0.3:0.7 0.6:0.49\": from that share of the layers on, that share of "
         "the droppable tokens is left"},
    BOOL_FIELD(token_pruning_parameters, gradual, "false",
               "between two points the share falls layer by layer"),
    BOOL_FIELD(token_pruning_parameters, visual_only, "false",
               "only tokens that multimodal_tokens brought may be dropped"),
    QUANTITY_FIELD(token_pruning_parameters, fixed_tokens, DIM_TOKENS, 0, 1e9, "0",
                   "tokens of a prompt that no layer drops"),
    FRACTION_FIELD(
        token_pruning_parameters, computed_at_last, "0",
        "share of the droppable tokens that all layers have seen when the output is out: decode brings "
        "back what is missing; 0: dropped for good"),
};
static const struct schema schema = {.name = "token_pruning",
                                     .size = sizeof(struct token_pruning_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"computed_at_last", NULL};

extern const struct mechanism token_pruning;
const struct mechanism token_pruning = {
    .name = "token_pruning",
    .summary = "deep layers work on part of the prompt's tokens",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct token_pruning_parameters),
    .on_workload = on_workload,
    .on_model = on_model,
};
