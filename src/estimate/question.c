/* From names to a deployment and a request. */
#include "base/suggest.h"
#include "estimate/phases.h"
#include "estimate/settings.h"

#include <math.h>
#include <string.h>

/* ---- the technique stack ---- */

static bool add_type(struct resolved *resolved, struct diag *diag, const char *flag, const char *mechanism,
                     const char *type, const char *more)
{
    if (!type)
        return true;
    struct element_type parsed;
    if (!element_type_parse(type, &parsed)) {
        size_t count;
        const char *const *names = element_type_names(&count);
        const char *nearest = suggest_nearest(type, names, count);
        return diag_error(
            diag, NOWHERE, "%s: unknown element type \"%.80s\"%s%s%s; `rafter list types` lists them", flag,
            type, nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    }
    const char *settings[2] = {arena_printf(resolved->arena, "type=%s", type), more};
    return settings[0] && stack_add(&resolved->deployment.stack, resolved->arena, diag, mechanism, settings,
                                    more ? 2 : 1, flag);
}

/* Types that values can be carried in need no quantising: the model's own activations, or a plain float. */
static bool is_plain_float(const char *name)
{
    struct element_type type;
    return element_type_parse(name, &type) &&
           (type.format == FORMAT_BF16 || type.format == FORMAT_FP16 || type.format == FORMAT_FP32);
}

static bool stack_has(const struct stack *stack, const char *mechanism)
{
    for (int i = 0; i < stack->count; i++)
        if (strcmp(stack->entries[i].mechanism->name, mechanism) == 0)
            return true;
    return false;
}

/* Checkpoints made for narrow activations (FP8 blocks, ternary weights with int8 inputs) run with them where
 * the device has the units, unless the question says otherwise. */
static bool add_checkpoint_types(struct resolved *resolved, struct diag *diag, const struct model *model)
{
    const struct device *device = resolved->system->members[0].device;
    enum number_format format = model->activation_type.format;
    bool narrow = format == FORMAT_FP8 || format == FORMAT_INT8 || format == FORMAT_FP4;
    bool has_units = narrow && (device->matrix[format].flops > 0 || device->vector[format].flops > 0);
    if (!has_units || resolved->question.activations || resolved->question.weights ||
        stack_has(&resolved->deployment.stack, "activation_quantization") ||
        stack_has(&resolved->deployment.stack, "weight_quantization"))
        return true;
    return add_type(resolved, diag, "checkpoint", "activation_quantization", model->activation_type.name,
                    NULL);
}

static bool build_stack(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                        const struct model *model, const struct software *software,
                        const struct string_list *settings)
{
    const struct question *question = &resolved->question;
    struct stack *stack = &resolved->deployment.stack;
    bool *used = ARENA_ARRAY(resolved->arena, bool, settings->count + 1);
    if (!used)
        return diag_error(diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < question->techniques.count; i++) {
        const struct technique *technique =
            catalogue_technique(catalogue, diag, question->techniques.items[i]);
        if (!technique)
            return false;
        technique = technique_set(resolved->arena, technique, settings, used);
        if (!technique)
            return diag_error(diag, NOWHERE, "out of memory");
        if (!stack_add_technique(stack, resolved->arena, diag, technique))
            return false;
    }
    if (!settings_check_used(diag, settings, used) ||
        !add_type(resolved, diag, "--weights", "weight_quantization", question->weights,
                  software->quantizes_embedding ? "embedding=true" : NULL) ||
        !add_type(resolved, diag, "--kv", "kv_quantization", question->kv, NULL))
        return false;
    if (question->activations && !is_plain_float(question->activations) &&
        !add_type(resolved, diag, "--activations", "activation_quantization", question->activations, NULL))
        return false;
    return add_checkpoint_types(resolved, diag, model);
}

/* ---- parallelism and the system ---- */

static int at_least_one(int degree)
{
    return degree > 0 ? degree : 1;
}

static bool resolve_system(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                           const struct string_list *settings, struct parallelism *parallel)
{
    const struct question *question = &resolved->question;
    *parallel = question->parallel;
    if (parallel->tp < 0 || parallel->pp < 0 || parallel->ep < 0 || parallel->dp < 0 ||
        parallel->micro_batches < 0)
        return diag_error(diag, NOWHERE, "parallel degrees must not be negative");
    enum { DEGREE_MOST = 65536 };
    if (parallel->tp > DEGREE_MOST || parallel->pp > STAGES_MOST || parallel->ep > DEGREE_MOST ||
        parallel->dp > DEGREE_MOST)
        return diag_error(diag, NOWHERE, "at most tp, ep, dp %d and pp %d", DEGREE_MOST, STAGES_MOST);
    parallel->pp = at_least_one(parallel->pp);
    parallel->dp = at_least_one(parallel->dp);
    parallel->ep = at_least_one(parallel->ep);
    long others = (long)parallel->pp * parallel->dp;
    long wanted = question->devices > 0 ? question->devices : parallel->tp > 0 ? parallel->tp * others : 0;
    if (wanted > 1000000)
        return diag_error(diag, NOWHERE, "%ld devices: at most 1000000", wanted);
    resolved->system = question->system
                           ? question->system
                           : catalogue_system(catalogue, diag, question->device, (int)wanted, settings);
    /* a lone device stands for as many as the stages and groups need; a described system has its own count */
    if (resolved->system && !question->system && wanted == 0 && others > 1 &&
        resolved->system->members[0].count == 1)
        resolved->system = catalogue_system(catalogue, diag, question->device, (int)others, settings);
    if (!resolved->system)
        return false;
    int devices = resolved->system->members[0].count;
    if (parallel->tp == 0) {
        if (devices % others != 0)
            return diag_error(diag, NOWHERE, "pp*dp=%ld does not divide %d devices", others, devices);
        parallel->tp = (int)(devices / others);
    }
    if (parallel->tp * others != devices)
        return diag_error(diag, NOWHERE, "tp=%d * pp=%d * dp=%d is %ld devices, but %s has %d; give -n %ld",
                          parallel->tp, parallel->pp, parallel->dp, parallel->tp * others,
                          resolved->system->id, devices, parallel->tp * others);
    return true;
}

/* Of each device only question.threads units at work. */
static bool take_threads(struct resolved *resolved, struct diag *diag)
{
    int threads = resolved->question.threads;
    const struct device *device = resolved->system->members[0].device;
    if (threads == 0 || threads == device->units.count)
        return true;
    if (threads < 0 || threads > device->units.count)
        return diag_error(diag, NOWHERE, "--threads: found %d, expected 1 to %d, the %ss of %s", threads,
                          device->units.count, device->units.kind, device->id);
    struct device *narrow = device_with_units(resolved->arena, device, threads);
    struct system *system = ARENA_NEW(resolved->arena, struct system);
    struct system_member *members =
        ARENA_ARRAY(resolved->arena, struct system_member, resolved->system->member_count);
    if (!narrow || !system || !members)
        return diag_error(diag, NOWHERE, "out of memory");
    *system = *resolved->system;
    memcpy(members, system->members, system->member_count * sizeof *members);
    members[0].device = narrow;
    system->members = members;
    resolved->system = system;
    return true;
}

/* ---- the request ---- */

static bool override_length(struct diag *diag, const char *flag, double given, struct length *length)
{
    if (given == 0)
        return true;
    if (!(given >= 1 && given <= 1e9) || given != floor(given))
        return diag_error(diag, NOWHERE, "%s: found %g, expected a whole number of tokens from 1 to 1e9",
                          flag, given);
    *length = (struct length){.kind = DISTRIBUTION_FIXED, .value = given};
    return true;
}

static bool resolve_workload(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                             const struct string_list *settings)
{
    const struct question *question = &resolved->question;
    struct workload *workload = &resolved->workload;
    *workload = (struct workload){.id = "default",
                                  .batch = 1,
                                  .prompt = {.kind = DISTRIBUTION_FIXED, .value = 1024},
                                  .output = {.kind = DISTRIBUTION_FIXED, .value = 128}};
    if (question->workload) {
        const struct workload *found = catalogue_workload(catalogue, diag, question->workload, settings);
        if (!found)
            return false;
        *workload = *found;
    } else if (settings->count > 0) {
        return diag_error(diag, NOWHERE, "--set workload.%s: no workload given; add -w", settings->items[0]);
    }
    if (question->batch != 0) {
        if (!(question->batch >= 1 && question->batch <= 1e7) || question->batch != floor(question->batch))
            return diag_error(diag, NOWHERE, "--batch: found %g, expected a whole number from 1 to 1e7",
                              question->batch);
        workload->batch = (int)question->batch;
    }
    return override_length(diag, "--prompt", question->prompt, &workload->prompt) &&
           override_length(diag, "--output", question->output, &workload->output);
}

static void make_request(const struct workload *workload, struct request *request)
{
    *request = (struct request){.batch = workload->batch,
                                .output = fmax(1, length_mean(&workload->output)),
                                .shared_prefix = workload->shared_prefix,
                                .cached_fraction = workload->cached_fraction};
    request->strata = length_strata(&workload->prompt, request->prompt);
    for (int i = 0; i < request->strata; i++)
        request->prompt[i] = fmax(1, request->prompt[i]);
    request->prompt_max = fmax(1, length_max(&workload->prompt));
}

bool request_fits_context(struct diag *diag, const struct model *model, const struct request *request)
{
    double longest = 0;
    for (int i = 0; i < request->strata; i++)
        longest = fmax(longest, request->prompt[i]);
    double context = model_context_needed(model, longest, request->output);
    if (model->max_context <= 0 || context <= model->max_context)
        return true;
    if (model->encoder_layers > 0)
        return diag_error(diag, NOWHERE, "%s %.0f tokens exceed %s's context of %d in the %s",
                          longest > request->output ? "prompt" : "output", context, model->id,
                          model->max_context, longest > request->output ? "encoder" : "decoder");
    return diag_error(diag, NOWHERE, "prompt %.0f + output %.0f = %.0f tokens exceed %s's context of %d",
                      longest, request->output, context, model->id, model->max_context);
}

/* What nobody has made work with an encoder, or what cannot. */
static bool check_encoder(struct diag *diag, const struct model *model, const struct request *request,
                          const struct generation *generation)
{
    if (model->encoder_layers == 0)
        return true;
    if (request->prefix_reused || request->cached_fraction > 0)
        return diag_error(diag, NOWHERE,
                          "%s: no part of a prompt can be reused: each token of an encoder sees the whole "
                          "prompt, so that a prefix's state is different in each",
                          model->id);
    if (generation->phases > 1 || generation->draft_prefills)
        return diag_error(diag, NOWHERE, "%s: drafts for a model with an encoder are not modelled",
                          model->id);
    return true;
}

/* What shares a step with prompts' parts: one token a sequence. */
static bool check_mixing(struct diag *diag, const struct model *model, const struct request *request,
                         const struct generation *generation)
{
    if (request->mixing.chunk_tokens == 0 && request->mixing.group_tokens == 0)
        return true;
    if (model->encoder_layers > 0)
        return diag_error(diag, NOWHERE, "%s: an encoder takes whole prompts, which cannot be mixed",
                          model->id);
    if (generation->phases > 1 || generation->cycle[0].new_tokens != 1 || generation->cycle[0].steps != 1)
        return diag_error(diag, NOWHERE,
                          "mixed_batch_scheduling: only plain decodes share steps with prompts");
    return true;
}

/* ---- plans ---- */

static struct plan *new_plan(struct resolved *resolved, struct diag *diag, const struct model *model,
                             const struct software *software, const struct system *system,
                             const struct parallelism *parallel, const struct stack *stack, const char *role)
{
    struct plan *plan = ARENA_NEW(resolved->arena, struct plan);
    struct plan_request request = {.system = system,
                                   .model = model,
                                   .software = software,
                                   .parallel = *parallel,
                                   .stack = stack,
                                   .role = role,
                                   .request = strcmp(role, ROLE_PASS) == 0 ? NULL : &resolved->request,
                                   .no_residency = resolved->question.no_residency,
                                   .scatter = resolved->question.scatter};
    if (!plan) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    return plan_resolve(plan, resolved->arena, diag, &request) ? plan : NULL;
}

static void plain_generation(const struct model *model, struct generation *generation)
{
    bool diffusion = model->generation == GENERATION_MASKED_DIFFUSION;
    double block = model->diffusion_block_tokens > 0 ? model->diffusion_block_tokens : 1;
    double steps = model->diffusion_steps_per_block > 0 ? model->diffusion_steps_per_block : block;
    *generation = (struct generation){
        .cycle = {{.new_tokens = 1, .steps = diffusion ? steps : 1, .sampled = 1, .mask = MASK_CAUSAL}},
        .phases = 1,
        .tokens_per_cycle = diffusion ? block : 1,
        .whole_sequence = diffusion,
        .block_tokens = block,
    };
}

/* A mechanism of the draft's own takes the place of the model's. */
static bool draft_has(const struct stack *stack, const struct mechanism *mechanism)
{
    for (int i = 0; i < stack->count; i++)
        if (stack->entries[i].mechanism == mechanism && strcmp(stack->entries[i].role, ROLE_DRAFT) == 0)
            return true;
    return false;
}

/* What applies to the draft: entries scoped to it, the one that brings it, and where the draft is cut
 * from the model also what was done to the model. NULL with diag. */
static struct stack *draft_stack(const struct resolved *resolved, struct diag *diag)
{
    const struct drafting *drafting = &resolved->deployment.generation.drafting;
    const struct stack *all = &resolved->deployment.stack;
    struct stack *stack = ARENA_NEW(resolved->arena, struct stack);
    if (!stack) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    for (int i = 0; i < all->count; i++) {
        struct stack_entry entry = all->entries[i];
        bool inherited = drafting->own && !(drafting->layers > 0 && entry.mechanism->of_all_layers);
        bool taken = strcmp(entry.role, ROLE_DRAFT) == 0 ||
                     ((inherited || entry.mechanism->of_draft) && !draft_has(all, entry.mechanism));
        entry.role = ROLE_DRAFT;
        if (taken)
            stack->entries[stack->count++] = entry;
    }
    return stack;
}

/* The model, or its first layers. */
static const struct model *cut_model(struct resolved *resolved, struct diag *diag, const struct model *model,
                                     int layers)
{
    struct model *cut = ARENA_NEW(resolved->arena, struct model);
    int *block_layers = ARENA_ARRAY(resolved->arena, int, model->block_count);
    if (!cut || !block_layers) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    if (layers > model->layers) {
        diag_error(diag, NOWHERE, "a draft of %d layers cannot be cut from %s's %d", layers, model->id,
                   model->layers);
        return NULL;
    }
    *cut = *model;
    cut->layers = layers > 0 ? layers : model->layers;
    cut->block_layers = block_layers;
    for (int i = 0; i < cut->layers; i++)
        block_layers[cut->pattern[i]]++;
    return cut;
}

/* The draft's devices: the model's, or another of the catalogue. */
static const struct system *draft_system(struct resolved *resolved, struct diag *diag,
                                         struct catalogue *catalogue, struct parallelism *parallel)
{
    const struct drafting *drafting = &resolved->deployment.generation.drafting;
    parallel->ep = 1;
    if (drafting->tp > parallel->tp) {
        diag_error(diag, NOWHERE, "a draft cut over %d ranks: the model has %d", drafting->tp, parallel->tp);
        return NULL;
    }
    if (drafting->tp > 0)
        parallel->tp = drafting->tp;
    if (!drafting->device)
        return resolved->system;
    const struct system *system = catalogue_system(catalogue, diag, drafting->device, 0, NULL);
    *parallel = (struct parallelism){.tp = 1, .pp = 1, .ep = 1, .dp = 1};
    if (system && system->members[0].count > 1) {
        diag_error(diag, NOWHERE, "%s: a draft on devices of its own takes one", drafting->device);
        return NULL;
    }
    return system;
}

/* The draft runs on the same devices and software, cut over the same tensor-parallel ranks, unless its
 * mechanism says otherwise. */
static bool add_draft(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                      const char *name, const struct model *model, const struct software *software,
                      const struct parallelism *parallel)
{
    struct pool *pool = &resolved->deployment.pools[0];
    struct drafting *drafting = &resolved->deployment.generation.drafting;
    const struct model *draft = drafting->own ? cut_model(resolved, diag, model, drafting->layers)
                                              : catalogue_model(catalogue, diag, name, NULL);
    if (!draft)
        return false;
    struct parallelism same = *parallel;
    if (draft->layers < same.pp) /* too few to cut: on the ranks of one stage */
        same.pp = 1;
    if (draft->generation == GENERATION_MASKED_DIFFUSION)
        return diag_error(diag, NOWHERE, "%s is a masked-diffusion model: it cannot draft token by token",
                          draft->id);
    if (draft->encoder_layers > 0)
        return diag_error(diag, NOWHERE, "%s has an encoder: drafts with one are not modelled", draft->id);
    const struct stack *stack = draft_stack(resolved, diag);
    const struct system *system = stack ? draft_system(resolved, diag, catalogue, &same) : NULL;
    if (!system)
        return false;
    /* a copy in another precision is another copy */
    const struct mechanism *quantised = mechanism_find("weight_quantization");
    drafting->shares_weights &= !draft_has(&resolved->deployment.stack, quantised);
    pool->plans[1] = new_plan(resolved, diag, draft, software, system, &same, stack, ROLE_DRAFT);
    pool->plan_count = 2;
    return pool->plans[1] && request_fits_context(diag, draft, &resolved->request);
}

/* What runs beside the model before its first token, on the same devices: encoders, each a plan of its own.
 */
static bool add_passes(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                       const struct model *served, const struct software *software,
                       const struct parallelism *parallel)
{
    struct deployment *deployment = &resolved->deployment;
    struct pool *pool = &deployment->pools[0];
    struct parallelism same = *parallel;
    same.ep = 1;
    for (int i = 0; i < resolved->request.pass_count; i++) {
        const struct side_pass *pass = &resolved->request.passes[i];
        if (pass->sequences == 0)
            continue;
        const struct model *model = pass->model ? catalogue_model(catalogue, diag, pass->model, NULL)
                                                : model_vision_tower(resolved->arena, diag, served);
        if (!model)
            return false;
        if (pool->plan_count == PLANS_MOST)
            return diag_error(diag, NOWHERE, "more than %d models in one deployment", PLANS_MOST);
        deployment->pass_plans[i] = pool->plan_count;
        pool->plans[pool->plan_count] =
            new_plan(resolved, diag, model, software, resolved->system, &same, &deployment->stack, ROLE_PASS);
        if (!pool->plans[pool->plan_count++])
            return false;
    }
    return true;
}

/* A pool that decodes what the first one computed: the same devices again, or others cut by tensors alone. */
static bool add_decode_pool(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                            const struct pool_split *split, const struct model *model,
                            const struct software *software, const struct parallelism *parallel)
{
    struct deployment *deployment = &resolved->deployment;
    const struct system *system = resolved->system;
    struct parallelism cut = *parallel;
    if (deployment->generation.phases > 1 || model->encoder_layers > 0)
        return diag_error(diag, NOWHERE, "disaggregation: drafts and encoders are not modelled with it");
    if (split->decode_device) {
        static const struct string_list none;
        system = catalogue_system(catalogue, diag, split->decode_device, 0, &none);
        if (!system)
            return false;
        cut = (struct parallelism){.tp = system->members[0].count, .pp = 1, .ep = 1, .dp = 1};
    }
    deployment->split = *split;
    deployment->pools[1] = (struct pool){.role = "decode", .plan_count = 1};
    deployment->pools[1].plans[0] =
        new_plan(resolved, diag, model, software, system, &cut, &deployment->stack, ROLE_SERVE);
    deployment->pool_count = 2;
    if (!deployment->pools[1].plans[0])
        return false;
    if (split->bandwidth == 0 && !deployment->pools[0].plans[0]->target.network)
        return diag_error(diag, NOWHERE,
                          "disaggregation: no network leaves %s; give disaggregation.bandwidth",
                          resolved->system->id);
    return true;
}

static const char *default_software(const struct system *system)
{
    return system->members[0].device->class == CLASS_CPU ? "llama-cpp" : "vllm";
}

static bool require(struct diag *diag, const char *value, const char *flag, const char *example)
{
    return value ? true : diag_error(diag, NOWHERE, "%s is missing, for example %s %s", flag, flag, example);
}

/* A plain float asked of the activations is what values are carried in from operator to operator. */
static const struct model *find_model(struct resolved *resolved, struct diag *diag,
                                      struct catalogue *catalogue, const struct software *software,
                                      struct string_list *settings)
{
    const struct question *question = &resolved->question;
    const char *carried = question->activations && is_plain_float(question->activations)
                              ? question->activations
                              : software->activation_type.name;
    if (carried[0] != '\0') {
        const char *setting = arena_printf(resolved->arena, "activation_type=%s", carried);
        if (!setting) {
            diag_error(diag, NOWHERE, "out of memory");
            return NULL;
        }
        settings->items[settings->count++] = setting;
    }
    return catalogue_model(catalogue, diag, question->model, settings);
}

/* The plans of the pools: one that serves, and what the techniques and the model add. */
static bool make_plans(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                       const struct rewrite *rewrite, const struct model *model,
                       const struct software *software, const struct parallelism *parallel)
{
    struct deployment *deployment = &resolved->deployment;
    struct pool *pool = &deployment->pools[0];
    deployment->pool_count = 1;
    pool->role = ROLE_SERVE;
    pool->plans[0] =
        new_plan(resolved, diag, model, software, resolved->system, parallel, &deployment->stack, ROLE_SERVE);
    pool->plan_count = 1;
    if (!pool->plans[0])
        return false;
    if (rewrite->pools.given &&
        !add_decode_pool(resolved, diag, catalogue, &rewrite->pools, model, software, parallel))
        return false;
    if ((rewrite->draft || deployment->generation.drafting.own) &&
        !add_draft(resolved, diag, catalogue, rewrite->draft, model, software, parallel))
        return false;
    return add_passes(resolved, diag, catalogue, model, software, parallel);
}

bool question_resolve(struct resolved *resolved, struct arena *arena, struct diag *diag,
                      struct catalogue *catalogue, const struct question *question)
{
    struct settings settings;
    struct parallelism parallel;
    *resolved = (struct resolved){.question = *question, .arena = arena};
    struct deployment *deployment = &resolved->deployment;
    if (!require(diag, question->model, "--model", "llama-3.1-8b") ||
        (!question->system && !require(diag, question->device, "--device", "h100-sxm")) ||
        !settings_split(arena, diag, &question->settings, &settings) ||
        !settings_read_site(arena, diag, &settings.by_scope[SCOPE_SITE], &deployment->site) ||
        !resolve_system(resolved, diag, catalogue, &settings.by_scope[SCOPE_HARDWARE], &parallel) ||
        !take_threads(resolved, diag))
        return false;
    const char *software_name = question->software ? question->software : default_software(resolved->system);
    const struct software *software =
        catalogue_software(catalogue, diag, software_name, &settings.by_scope[SCOPE_SOFTWARE]);
    const struct model *model =
        software ? find_model(resolved, diag, catalogue, software, &settings.by_scope[SCOPE_MODEL]) : NULL;
    if (!software || !model ||
        !build_stack(resolved, diag, catalogue, model, software, &settings.mechanisms) ||
        !resolve_workload(resolved, diag, catalogue, &settings.by_scope[SCOPE_WORKLOAD]))
        return false;

    make_request(&resolved->workload, &resolved->request);
    plain_generation(model, &deployment->generation);
    struct rewrite rewrite = {.role = ROLE_SERVE,
                              .arena = arena,
                              .diag = diag,
                              .request = &resolved->request,
                              .generation = &deployment->generation};
    if (!stack_run(&deployment->stack, HOOK_WORKLOAD, &rewrite) ||
        !stack_run(&deployment->stack, HOOK_GENERATION, &rewrite) ||
        !check_encoder(diag, model, &resolved->request, &deployment->generation) ||
        !check_mixing(diag, model, &resolved->request, &deployment->generation) ||
        !request_fits_context(diag, model, &resolved->request) ||
        !make_plans(resolved, diag, catalogue, &rewrite, model, software, &parallel))
        return false;
    return !rewrite.calls || question->one_call || calls_resolve(resolved, diag, catalogue, rewrite.calls);
}
