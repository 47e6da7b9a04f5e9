/* Workflows: requests that wait for each other. A request starts when those it waits for have ended and its
 * place is free, for requests of one place run in turn: batches of different requests are not merged. One
 * that runs with a chance below one adds that share of its time: all figures are expected values. */
#include "estimate/phases.h"

#include <math.h>
#include <string.h>

/* What runs at one place, summed. */
struct place {
    const struct deployment *deployment; /* of its first request */
    int devices;
    double busy_until;
    double dynamic_energy; /* J above idle */
    struct memory_plan memory;
};

struct adding {
    const struct workflow *workflow;
    struct estimate_scratch *scratch;
    struct breakdown *breakdown;
    struct place places[CALLS_MOST];
    int place_count;
    double ends[CALLS_MOST];
    double first, last;
    struct answer total;
};

/* All turns of a request. */
struct turns {
    struct answer answer; /* of the last turn, its times replaced by sums */
    double prefill, decode, host;
    double first_token; /* from the start to the last turn's first token */
    double dynamic_energy;
    double prompt_tokens, output_tokens;
};

static double mean_prompt(const struct request *request)
{
    double sum = 0;
    for (int i = 0; i < request->strata; i++)
        sum += request->prompt[i];
    return sum / request->strata;
}

/* The request of a turn: it reads what the turns before wrote, and finds it cached or not. */
struct request turn_request(const struct workflow_request *node, int turn)
{
    struct request request = node->request;
    double grown = turn * node->growth * request.output, prompt = mean_prompt(&request);
    for (int i = 0; i < request.strata; i++)
        request.prompt[i] += grown;
    request.prompt_max += grown;
    if (node->keeps_cache && turn > 0) {
        /* the turn before read its prompt and wrote its output, whose last token no step has read */
        double read = prompt + grown - node->growth * request.output;
        double cached = (read + fmin(1, node->growth) * (request.output - 1)) / (prompt + grown);
        request.cached_fraction = fmax(request.cached_fraction, fmin(1, cached));
    }
    return request;
}

static bool is_prefill(const struct phase_cost *phase)
{
    static const char end[] = "prefill"; /* the model's or a draft's */
    size_t length = strlen(phase->name);
    return length >= sizeof end - 1 && strcmp(phase->name + length - (sizeof end - 1), end) == 0;
}

/* Phases of the turn that is shown stand for all turns: times are their sums, work is as much as its own in
 * each. */
static void show_turns(struct breakdown *breakdown, int from, const struct workflow_request *node,
                       const struct turns *turns)
{
    double shown[2] = {0, 0}, whole[2] = {turns->decode, turns->prefill};
    for (int i = from; i < breakdown->count; i++)
        shown[is_prefill(&breakdown->phases[i])] += breakdown->phases[i].time_s;
    for (int i = from; i < breakdown->count; i++) {
        struct phase_cost *phase = &breakdown->phases[i];
        bool prefill = is_prefill(phase);
        double share = shown[prefill] > 0 ? phase->time_s / shown[prefill] : 0;
        breakdown_scale(phase, node->executions * node->turns, node->executions * whole[prefill] * share);
        if (strcmp(phase->name, "prefill") == 0)
            phase->name = node->prefill_name;
        else if (strcmp(phase->name, "decode") == 0)
            phase->name = node->decode_name;
    }
}

static void run_turns(struct adding *adding, const struct workflow_request *node, struct turns *turns)
{
    int shown = node->turns / 2, from = adding->breakdown ? adding->breakdown->count : 0;
    *turns = (struct turns){.prefill = 0};
    for (int turn = 0; turn < node->turns; turn++) {
        struct request request = turn_request(node, turn);
        struct breakdown *breakdown = turn == shown ? adding->breakdown : NULL;
        struct answer *answer = &turns->answer;
        estimate_batch(node->deployment, &request, NULL, adding->scratch, answer, breakdown);
        double host = node->deployment->pools[0].plans[0]->software->host_per_request;
        turns->first_token = turns->prefill + turns->decode + turns->host + node->wait + answer->ttft_s;
        turns->prefill += answer->ttft_s - host;
        turns->decode += answer->latency_s - answer->ttft_s;
        turns->host += host + node->wait;
        turns->dynamic_energy +=
            answer->energy_j - idle_power(node->deployment, answer->devices) * answer->latency_s;
        turns->prompt_tokens += answer->prompt_tokens;
        turns->output_tokens += answer->output_tokens;
    }
    if (adding->breakdown && node->prefill_name)
        show_turns(adding->breakdown, from, node, turns);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Models of one place lie beside each other; what they need while they run, they need in turn. */
static void add_memory(struct adding *adding, int index, struct place *place,
                       const struct memory_plan *memory)
{
    const struct workflow *workflow = adding->workflow;
    bool met = false;
    for (int i = 0; i < index; i++)
        met = met || workflow->requests[i].deployment == workflow->requests[index].deployment;
    struct memory_plan *sum = &place->memory;
    if (sum->total == 0)
        *sum = (struct memory_plan){.capacity = memory->capacity, .worst_stage = memory->worst_stage};
    sum->weights += met ? 0 : memory->weights;
    sum->kv = larger(sum->kv, memory->kv);
    sum->activations = larger(sum->activations, memory->activations);
    sum->reserved = larger(sum->reserved, memory->reserved);
    sum->total = sum->weights + sum->kv + sum->activations + sum->reserved;
    sum->fits = sum->total <= sum->capacity;
}

static bool is_waited_for(const struct workflow *workflow, int index)
{
    for (int i = index + 1; i < workflow->count; i++)
        for (int w = 0; w < workflow->requests[i].after_count; w++)
            if (workflow->requests[i].after[w] == index)
                return true;
    return false;
}

static void add_request(struct adding *adding, int index)
{
    const struct workflow_request *node = &adding->workflow->requests[index];
    struct place *place = &adding->places[node->place];
    struct answer *total = &adding->total;
    struct turns turns;
    run_turns(adding, node, &turns);
    const struct answer *part = &turns.answer;
    double start = place->busy_until;
    for (int w = 0; w < node->after_count; w++)
        start = larger(start, adding->ends[node->after[w]]);
    double time = node->executions * (turns.prefill + turns.decode + turns.host);
    adding->ends[index] = place->busy_until = start + time;
    total->call_times[index] = (struct call_time){.start = start,
                                                  .end = start + time,
                                                  .sequences = node->request.batch,
                                                  .executions = node->executions};
    adding->last = larger(adding->last, adding->ends[index]);
    if (!is_waited_for(adding->workflow, index)) /* what a reader waits for is the last answer */
        adding->first = fmin(adding->first, start + node->executions * turns.first_token);
    place->dynamic_energy += node->executions * turns.dynamic_energy;
    place->devices = part->devices > place->devices ? part->devices : place->devices;
    place->deployment = place->deployment ? place->deployment : node->deployment;
    adding->place_count = node->place >= adding->place_count ? node->place + 1 : adding->place_count;
    add_memory(adding, index, place, &part->memory);
    total->prompt_tokens += node->executions * turns.prompt_tokens;
    total->output_tokens += node->executions * turns.output_tokens;
    total->calls += node->executions * node->turns * node->request.batch;
    total->calibration = part->calibration < total->calibration ? part->calibration : total->calibration;
}

/* Energy, money and memory of all places over the whole time. */
static void add_places(struct adding *adding)
{
    struct answer *total = &adding->total;
    const struct request all = {.batch = total->output_tokens, .output = 1};
    bool met = false; /* the question's own devices may have nothing to do */
    for (int i = 0; i < adding->place_count; i++) {
        const struct place *place = &adding->places[i];
        struct answer here = {.latency_s = adding->last, .devices = place->devices};
        if (!place->deployment)
            continue;
        bill(place->deployment, &all, place->dynamic_energy, &here);
        total->energy_j += here.energy_j;
        total->cost_usd += here.cost_usd;
        total->carbon_kg += here.carbon_kg;
        total->devices += place->devices;
        bool worse = place->memory.fits == total->memory.fits ? place->memory.total > total->memory.total
                                                              : !place->memory.fits;
        if (!met || worse)
            total->memory = place->memory;
        met = true;
    }
}

/* What a single run of a single request leaves as it is. */
static bool is_plain(const struct workflow *workflow)
{
    const struct workflow_request *node = &workflow->requests[0];
    return workflow->count == 1 && node->turns == 1 && node->executions == 1 && node->wait == 0;
}

void estimate_workflow(const struct workflow *workflow, const struct slo *slo,
                       struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown)
{
    if (breakdown)
        breakdown->count = 0;
    if (is_plain(workflow)) {
        estimate_batch(workflow->requests[0].deployment, &workflow->requests[0].request, slo, scratch, answer,
                       breakdown);
        answer->call_times[0] =
            (struct call_time){.end = answer->latency_s, .sequences = answer->calls, .executions = 1};
        return;
    }
    struct adding adding = {.workflow = workflow,
                            .scratch = scratch,
                            .breakdown = breakdown,
                            .first = INFINITY,
                            .total = {.calibration = PROVENANCE_FITTED, .interval_level = 0.90}};
    struct answer *total = &adding.total;
    for (int i = 0; i < workflow->count; i++)
        add_request(&adding, i);
    add_places(&adding);
    total->ttft_s = adding.first;
    total->latency_s = adding.last;
    total->tpot_s = NAN; /* of several requests: ask each */
    total->ttft_interval = total->tpot_interval = (struct interval){NAN, NAN};
    total->throughput_tokens_per_s = total->output_tokens / total->latency_s;
    total->throughput_tokens_per_s_per_device = total->throughput_tokens_per_s / total->devices;
    total->requests_per_s = total->calls / total->latency_s;
    total->energy_j_per_output_token = total->energy_j / total->output_tokens;
    total->cost_usd_per_million_output_tokens = total->cost_usd / total->output_tokens * 1e6;
    total->power_w = total->energy_j / total->latency_s;
    judge(slo, total);
    *answer = *total;
}

void needed_memory(const struct deployment *deployment, const struct request *request,
                   struct memory_plan *memory)
{
    if (!deployment->calls) {
        deployment_memory(deployment, request, memory);
        return;
    }
    struct workflow workflow;
    struct adding adding = {.workflow = &workflow};
    *memory = (struct memory_plan){.fits = true};
    calls_workflow(deployment, request, &workflow);
    for (int i = 0; i < workflow.count; i++) {
        const struct workflow_request *node = &workflow.requests[i];
        struct request last = turn_request(node, node->turns - 1);
        struct place *place = &adding.places[node->place];
        struct memory_plan own;
        deployment_memory(node->deployment, &last, &own);
        add_memory(&adding, i, place, &own);
        bool worse =
            place->memory.fits == memory->fits ? place->memory.total > memory->total : !place->memory.fits;
        if (worse)
            *memory = place->memory;
    }
}
