/* Mechanisms that change weights and how they are read: off is the baseline, more never hurts what it is for,
 * they compose with quantisation and tensor parallelism, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DATA(name) SOURCE_DIR "/tests/data/weights-" name ".yaml"
#define SPARSE     DATA("sparse")
#define MIXED      DATA("mixed")
#define ADAPTERS   DATA("adapters")
#define CODED      DATA("coded")

/* A question with a technique (NULL: none) and settings, ended by NULL. */
struct asking {
    const char *technique;
    const char *settings[6];
    struct question question;
};

static struct asking llama(const char *technique)
{
    return (struct asking){
        .technique = technique,
        .question = {
            .model = "llama-3.1-8b", .device = "a100-80gb-sxm", .batch = 4, .prompt = 300, .output = 24}};
}

static struct asked put(struct asking *asking)
{
    size_t settings = 0;
    while (settings < 6 && asking->settings[settings])
        settings++;
    struct question question = asking->question;
    question.techniques = (struct string_list){&asking->technique, asking->technique != NULL};
    question.settings = (struct string_list){asking->settings, settings};
    return ask(&question);
}

static struct answer answer_of(struct asking asking)
{
    struct asked asked = put(&asking);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

static struct answer answer_with(const char *technique, const char *setting, const char *more)
{
    struct asking asking = llama(technique);
    asking.settings[0] = setting;
    asking.settings[1] = more;
    return answer_of(asking);
}

static void expect_refused(struct asking asking, const char *reason)
{
    struct asked asked = put(&asking);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", reason);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), reason) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&asked.diag), reason);
    asked_free(&asked);
}

/* ---- off is the baseline ---- */

Test(mechanism_weights, off_is_the_baseline_exactly)
{
    static const char *const off[] = {SPARSE, ADAPTERS};
    for (int devices = 1; devices <= 2; devices++) {
        struct asking plain = llama(NULL);
        plain.question.devices = devices;
        struct answer base = answer_of(plain);
        for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
            struct asking asking = llama(off[i]);
            asking.question.devices = devices;
            struct answer same = answer_of(asking);
            expect_same_answer(&base, &same);
        }
    }
    struct asking four = llama(NULL);
    four.question.weights = "int4-g128";
    struct answer quantised = answer_of(four), mixed = answer_with(MIXED, NULL, NULL);
    expect_same_answer(&quantised, &mixed);
}

/* ---- widths ---- */

Test(mechanism_weights, a_wider_share_takes_more_memory_and_no_less_time)
{
    static const char *const shares[] = {
        "weight_quantization.wide_share=0", "weight_quantization.wide_share=0.25",
        "weight_quantization.wide_share=0.5", "weight_quantization.wide_share=1"};
    static const char *const by[] = {"weight_quantization.wide_by=weights",
                                     "weight_quantization.wide_by=layers"};
    for (int spread = 0; spread < 2; spread++) {
        struct answer last = {0};
        for (size_t i = 0; i < 4; i++) {
            struct answer answer = answer_with(MIXED, shares[i], by[spread]);
            cr_expect(answer.memory.weights > last.memory.weights, "%s", shares[i]);
            cr_expect(answer.tpot_s >= last.tpot_s * (1 - 1e-12), "%s", shares[i]);
            last = answer;
        }
    }
    /* the bytes are the same whether weights or layers are wide */
    struct answer weights = answer_with(MIXED, shares[2], by[0]),
                  layers = answer_with(MIXED, shares[2], by[1]);
    cr_expect(close_to(weights.memory.weights, layers.memory.weights, 1e-9));
}

Test(mechanism_weights, whole_shares_are_the_wide_type)
{
    struct asking wide = llama(NULL);
    wide.question.weights = "int8-g128";
    struct answer plain = answer_of(wide), all = answer_with(MIXED, "weight_quantization.wide_share=1", NULL);
    expect_same_answer(&plain, &all);
}

Test(mechanism_weights, what_goes_beside_a_matrix_costs)
{
    struct answer base = answer_with(MIXED, NULL, NULL), last = base;
    static const char *const outliers[] = {"weight_quantization.outliers=0.001",
                                           "weight_quantization.outliers=0.005",
                                           "weight_quantization.outliers=0.02"};
    for (size_t i = 0; i < 3; i++) {
        struct answer answer = answer_with(MIXED, outliers[i], NULL);
        cr_expect(answer.tpot_s > last.tpot_s && answer.memory.weights > last.memory.weights, "%s",
                  outliers[i]);
        last = answer;
    }
    struct answer low = answer_with(MIXED, "weight_quantization.rank=16", NULL);
    struct answer high = answer_with(MIXED, "weight_quantization.rank=256", NULL);
    cr_expect(low.tpot_s > base.tpot_s && high.tpot_s >= low.tpot_s);
    cr_expect(high.memory.weights > low.memory.weights && low.memory.weights > base.memory.weights);
}

Test(mechanism_weights, conversions_in_turn_are_no_faster)
{
    struct answer together = answer_with(MIXED, NULL, NULL);
    struct answer in_turn = answer_with(MIXED, "low_bit_gemm.overlapped=false", NULL);
    struct answer longer = answer_with(MIXED, "low_bit_gemm.overlapped=false", "low_bit_gemm.operations=3");
    struct answer none = answer_with(MIXED, "low_bit_gemm.operations=0", NULL);
    cr_expect(in_turn.tpot_s > together.tpot_s);
    cr_expect(longer.tpot_s > in_turn.tpot_s);
    cr_expect(none.ttft_s <= together.ttft_s * (1 + 1e-12));
}

/* ---- codes ---- */

Test(mechanism_weights, codes_save_memory_and_cost_time)
{
    struct answer plain = answer_of(llama(NULL)), last = plain;
    static const char *const bits[] = {"weight_compression.coded_bits=14", "weight_compression.coded_bits=11",
                                       "weight_compression.coded_bits=9"};
    double time = INFINITY;
    for (size_t i = 0; i < 3; i++) {
        struct answer answer = answer_with(CODED, bits[i], NULL);
        cr_expect(answer.memory.weights < last.memory.weights, "%s", bits[i]);
        cr_expect(answer.tpot_s > plain.tpot_s && answer.tpot_s <= time * (1 + 1e-12), "%s", bits[i]);
        time = answer.tpot_s;
        last = answer;
    }
    /* 11 of 16 bits of every matrix, norms as they are */
    struct answer coded = answer_with(CODED, NULL, NULL);
    cr_expect(close_to(coded.memory.weights, plain.memory.weights * 11 / 16, 1e-3));
    struct answer slow = answer_with(CODED, "weight_compression.clocks=4", NULL);
    cr_expect(slow.tpot_s > coded.tpot_s && slow.memory.total == coded.memory.total);
    struct answer fused =
        answer_with(CODED, "weight_compression.fused=true", "weight_compression.clocks=0.01");
    cr_expect(fused.tpot_s < plain.tpot_s, "quick enough, it saves reading");
}

Test(mechanism_weights, decoding_costs_the_same_whatever_the_tokens)
{
    double extra[2];
    for (int i = 0; i < 2; i++) {
        struct asking coded = llama(CODED), plain = llama(NULL);
        coded.question.batch = plain.question.batch = i == 0 ? 1 : 64;
        coded.question.software = plain.question.software = "ideal";
        extra[i] = answer_of(coded).tpot_s - answer_of(plain).tpot_s;
    }
    cr_expect(close_to(extra[0], extra[1], 1e-6), "%g and %g", extra[0], extra[1]);
}

/* ---- pruning ---- */

Test(mechanism_weights, fewer_heads_and_channels_take_less)
{
    static const char *const shares[] = {"0.125", "0.25", "0.5", "0.75"};
    struct answer last = answer_of(llama(NULL));
    for (size_t i = 0; i < 4; i++) {
        char heads[48], ffn[48];
        snprintf(heads, sizeof heads, "weight_pruning.heads=%s", shares[i]);
        snprintf(ffn, sizeof ffn, "weight_pruning.ffn=%s", shares[i]);
        struct answer answer = answer_with(SPARSE, heads, ffn);
        cr_expect(answer.memory.weights < last.memory.weights && answer.memory.kv < last.memory.kv);
        cr_expect(answer.tpot_s < last.tpot_s && answer.ttft_s <= last.ttft_s, "%s", shares[i]);
        last = answer;
    }
}

Test(mechanism_weights, patterns_store_what_they_say)
{
    static const struct {
        const char *pattern, *density;
        double bits;
    } cases[] = {{"zeros", "0.5", 16},
                 {"bitmap", "0.5", 0.5 * 16 + 1},
                 {"coordinates", "0.1", 0.1 * 32},
                 {"n-of-m", "0.5", 0.5 * 18},
                 {"blocks", "0.25", 0.25 * (16 + 16.0 / 1024)}};
    struct asking plain = llama(NULL);
    struct asked asked = put(&plain);
    cr_assert(asked.ok);
    double layers = 0, base = asked.answer.memory.weights;
    const struct graph *graph = &asked.resolved.deployment.pools[0].plans[0]->graph;
    for (int i = 0; i < graph->buffer_count; i++)
        if (graph->buffers[i].class == BUFFER_WEIGHTS && graph->buffers[i].block != OUTSIDE_LAYERS &&
            graph->buffers[i].rows > 1)
            layers += 32 * buffer_layer_bytes(&graph->buffers[i]);
    asked_free(&asked);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char pattern[48], density[48];
        snprintf(pattern, sizeof pattern, "weight_pruning.pattern=%s", cases[i].pattern);
        snprintf(density, sizeof density, "weight_pruning.density=%s", cases[i].density);
        struct answer answer = answer_with(SPARSE, pattern, density);
        cr_expect(close_to(answer.memory.weights, base - layers * (1 - cases[i].bits / 16), 1e-9), "%s",
                  cases[i].pattern);
    }
}

Test(mechanism_weights, only_units_for_it_skip_two_of_four)
{
    struct asking dense = llama(NULL), sparse = llama(SPARSE);
    sparse.settings[0] = "weight_pruning.pattern=n-of-m";
    sparse.settings[1] = "weight_pruning.density=0.5";
    dense.question.prompt = sparse.question.prompt = 2000;
    double with_units = answer_of(sparse).ttft_s / answer_of(dense).ttft_s;
    dense.question.device = sparse.question.device = "v100-sxm2-32gb";
    double without = answer_of(sparse).ttft_s / answer_of(dense).ttft_s;
    cr_expect(with_units < 0.75, "%g", with_units);
    cr_expect(without > 0.98, "%g", without);
}

/* ---- sparse activations ---- */

Test(mechanism_weights, sparser_steps_are_no_slower_and_prompts_stay_dense)
{
    static const char *const shares[] = {"activation_sparsity.sparsity=0.3",
                                         "activation_sparsity.sparsity=0.6",
                                         "activation_sparsity.sparsity=0.9"};
    struct asking first = llama(SPARSE);
    first.question.batch = 1;
    first.settings[0] = shares[0];
    struct answer last = answer_of(first), plain = answer_of(llama(NULL));
    for (size_t i = 1; i < 3; i++) {
        struct asking asking = first;
        asking.settings[0] = shares[i];
        struct answer answer = answer_of(asking);
        cr_expect(answer.tpot_s < last.tpot_s, "%s", shares[i]);
        cr_expect_float_eq(answer.ttft_s, last.ttft_s, 0);
        cr_expect_float_eq(answer.memory.weights, plain.memory.weights, 0);
        last = answer;
    }
    /* many tokens together need almost all channels; a hot share keeps the others cold */
    struct asking many = llama(SPARSE);
    many.question.batch = 64;
    many.settings[0] = shares[2];
    struct answer together = answer_of(many);
    many.settings[1] = "activation_sparsity.hot=0.09";
    cr_expect(answer_of(many).tpot_s < together.tpot_s);
}

/* ---- kernels ---- */

Test(mechanism_weights, fuller_tiles_are_no_faster)
{
    double last = 0;
    static const char *const rows[] = {"kernel_variant.least_rows=16", "kernel_variant.least_rows=64",
                                       "kernel_variant.least_rows=128", "kernel_variant.least_rows=256"};
    for (size_t i = 0; i < 4; i++) {
        struct answer answer = answer_with(SPARSE, rows[i], NULL);
        cr_expect(answer.tpot_s >= last * (1 - 1e-12), "%s", rows[i]);
        last = answer.tpot_s;
    }
    struct answer plain = answer_of(llama(NULL)),
                  off = answer_with(SPARSE, "kernel_variant.fusion=off", NULL);
    cr_expect(off.tpot_s > plain.tpot_s);
    struct answer unfused = answer_with(SPARSE, "kernel_variant.flash=off", NULL);
    cr_expect(unfused.ttft_s > plain.ttft_s);
    struct answer saving = answer_with(SPARSE, "kernel_variant.attention_saving=0.2", NULL);
    cr_expect(saving.tpot_s < plain.tpot_s);
    cr_expect_float_eq(saving.ttft_s, plain.ttft_s, 1e-3 * plain.ttft_s);
}

/* ---- adapters ---- */

Test(mechanism_weights, adapters_cost_by_rank_and_tenants)
{
    static const char *const open = "adapters.merged=false";
    struct answer plain = answer_of(llama(NULL)), one = answer_with(ADAPTERS, open, NULL);
    struct answer four = answer_with(ADAPTERS, open, "adapters.tenants=4");
    struct answer stored = answer_with(ADAPTERS, open, "adapters.stored=100");
    struct answer wide = answer_with(ADAPTERS, open, "adapters.rank=256");
    cr_expect(one.tpot_s > plain.tpot_s && four.tpot_s >= one.tpot_s && wide.tpot_s >= one.tpot_s);
    cr_expect_float_eq(stored.tpot_s, one.tpot_s, 0);
    /* q: 4096 to 4096, v: 4096 to 1024; rank 16, 2 bytes, 32 layers */
    double bytes = 32 * 2.0 * 16 * (4096 + 4096 + 4096 + 1024);
    cr_expect(close_to(one.memory.weights - plain.memory.weights, bytes, 1e-9));
    cr_expect(close_to(four.memory.weights - plain.memory.weights, 4 * bytes, 1e-9));
    cr_expect(close_to(stored.memory.weights - plain.memory.weights, 100 * bytes, 1e-9));
}

Test(mechanism_weights, every_kind_of_adapter_runs_and_conserves_tokens)
{
    static const char *const kinds[] = {"lora", "series", "parallel", "prefix", "rows", "scales", "layers"};
    struct answer plain = answer_of(llama(NULL));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char kind[48];
        snprintf(kind, sizeof kind, "adapters.kind=%s", kinds[i]);
        struct asking asking = llama(ADAPTERS);
        asking.settings[0] = kind;
        asking.settings[1] = "adapters.merged=false";
        asking.settings[2] = "adapters.private_layers=0.25";
        asking.settings[3] = strcmp(kinds[i], "prefix") ? "adapters.tenants=2" : "adapters.tenants=1";
        for (int devices = 1; devices <= 2; devices++) {
            asking.question.devices = devices;
            asking.question.weights = "int8";
            struct asked asked = put(&asking);
            cr_assert(asked.ok, "%s: %s", kinds[i], diag_first_error(&asked.diag));
            cr_expect_float_eq(phase_of(&asked, "decode")->steps, 23, 1e-9);
            asked_free(&asked);
        }
    }
    struct answer layers = answer_with(ADAPTERS, "adapters.kind=prefix", "adapters.merged=false");
    cr_expect(layers.tpot_s > plain.tpot_s && layers.memory.kv >= plain.memory.kv);
}

/* ---- composition and refusals ---- */

Test(mechanism_weights, they_compose_with_quantisation_and_tensor_parallelism)
{
    static const char *const files[] = {SPARSE, ADAPTERS};
    for (size_t i = 0; i < 2; i++)
        for (int devices = 1; devices <= 4; devices *= 2) {
            struct asking asking = llama(files[i]);
            asking.question.devices = devices;
            asking.question.weights = "int8";
            asking.settings[0] = i == 0 ? "weight_pruning.ffn=0.5" : "adapters.merged=false";
            asking.settings[1] = i == 0 ? "activation_sparsity.sparsity=0.5" : NULL;
            struct answer answer = answer_of(asking);
            cr_expect(isfinite(answer.latency_s) && answer.memory.fits);
        }
}

Test(mechanism_weights, what_makes_no_sense_is_refused)
{
    struct asking asking = llama(ADAPTERS);
    asking.settings[0] = "adapters.tenants=2";
    expect_refused(asking, "serve one tenant");
    asking.settings[0] = "adapters.tenants=5";
    asking.settings[1] = "adapters.merged=false";
    expect_refused(asking, "has no 5 tenants");
    asking.settings[0] = "adapters.kind=series";
    asking.settings[1] = NULL;
    expect_refused(asking, "can be merged");
    asking = llama(ADAPTERS);
    asking.settings[0] = "adapters.merged=false";
    asking.settings[1] = "adapters.targets=[q, x]";
    expect_refused(asking, "expected q, k, v");
    asking = llama(CODED);
    asking.question.weights = "int4";
    asking.settings[0] = "weight_compression.outside=false";
    expect_refused(asking, "no exponents to code");
    asking = llama(SPARSE);
    asking.settings[0] = "weight_pruning.first_layer=30";
    asking.settings[1] = "weight_pruning.last_layer=40";
    asking.settings[2] = "weight_pruning.ffn=0.5";
    expect_refused(asking, "which has 32");
    asking = llama(SPARSE);
    asking.settings[0] = "activation_sparsity.gate=true";
    asking.settings[1] = "activation_sparsity.sparsity=0.5";
    expect_refused(asking, "predictor_rank");
    asking = llama(SPARSE);
    asking.settings[0] = "activation_sparsity.sparsity=1.5";
    expect_refused(asking, "sparsity");
    asking = llama(SPARSE);
    asking.settings[0] = "weight_pruning.pattern=n-of-m";
    asking.settings[1] = "weight_pruning.density=0.3";
    expect_refused(asking, "no whole number");
}
