/* The shipped models as a catalogue: how many there are, that names lead to one file each, that counts and KV
 * bytes agree with figures reckoned apart from this program. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;
static struct catalogue catalogue;

static void set_up(void)
{
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    setenv("XDG_CONFIG_HOME", "/no/such/folder", 1);
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    catalogue_open(&catalogue, arena);
    catalogue.roots.count = 1;
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(catalogue_models, .init = set_up, .fini = tear_down);

/* Name, layers, parameters in the scope of the published count, active text parameters. The counts were
 * reckoned from the dimensions outside this program and compared with each checkpoint's own (the files'
 * `published`). */
static const struct fact {
    const char *name;
    int layers;
    double parameters;
    double active;
} facts[] = {
    {"gpt2", 12, 124439808, 124439808},
    {"gpt2-medium", 24, 354823168, 354823168},
    {"gpt2-large", 36, 774030080, 774030080},
    {"gpt2-xl", 48, 1557611200, 1557611200},
    {"gpt3-175b", 96, 174604259328, 174604259328},
    {"opt-125m", 12, 125239296, 125239296},
    {"opt-1.3b", 24, 1315758080, 1315758080},
    {"opt-2.7b", 32, 2651596800, 2651596800},
    {"opt-6.7b", 32, 6658473984, 6658473984},
    {"opt-13b", 40, 12853473280, 12853473280},
    {"opt-30b", 48, 29974540288, 29974540288},
    {"opt-66b", 64, 65719701504, 65719701504},
    {"opt-175b", 96, 174604468224, 174604468224},
    {"opt-350m", 24, 331196416, 331196416},
    {"bloom-176b", 70, 176247271424, 176247271424},
    {"llama-1-7b", 32, 6738415616, 6738415616},
    {"llama-1-13b", 40, 13015864320, 13015864320},
    {"llama-1-33b", 60, 32528943616, 32528943616},
    {"llama-1-65b", 80, 65285660672, 65285660672},
    {"llama-2-7b", 32, 6738415616, 6738415616},
    {"llama-2-13b", 40, 13015864320, 13015864320},
    {"llama-2-70b", 80, 68976648192, 68976648192},
    {"llama-3-8b", 32, 8030261248, 8030261248},
    {"llama-3-70b", 80, 70553706496, 70553706496},
    {"llama-3.1-8b", 32, 8030261248, 8030261248},
    {"llama-3.1-70b", 80, 70553706496, 70553706496},
    {"llama-3.1-405b", 126, 405853388800, 405853388800},
    {"llama-3.2-1b", 16, 1235814400, 1235814400},
    {"llama-3.2-3b", 28, 3212749824, 3212749824},
    {"llama-3.3-70b", 80, 70553706496, 70553706496},
    {"llama-4-scout", 48, 108641793536, 17172894720},
    {"llama-4-maverick", 48, 401583781376, 17184691200},
    {"codellama-7b", 32, 6738546688, 6738546688},
    {"codellama-13b", 40, 13016028160, 13016028160},
    {"codellama-34b", 48, 33743970304, 33743970304},
    {"vicuna-7b-v1.5", 32, 6738415616, 6738415616},
    {"vicuna-13b-v1.5", 40, 13015864320, 13015864320},
    {"vicuna-33b-v1.3", 60, 32528943616, 32528943616},
    {"tinyllama-1.1b", 22, 1100048384, 1100048384},
    {"mobilellama-1.4b", 24, 1364297728, 1364297728},
    {"mobilellama-2.7b", 32, 2701560320, 2701560320},
    {"mistral-7b-v0.1", 32, 7241732096, 7241732096},
    {"mistral-7b-v0.3", 32, 7248023552, 7248023552},
    {"mistral-nemo-12b", 40, 12247782400, 12247782400},
    {"mixtral-8x7b", 32, 46702792704, 12879925248},
    {"mixtral-8x22b", 56, 140620634112, 39152031744},
    {"qwen1.5-0.5b", 24, 463987712, 463987712},
    {"qwen1.5-1.8b", 24, 1836828672, 1836828672},
    {"qwen1.5-4b", 40, 3950369280, 3950369280},
    {"qwen1.5-7b", 32, 7721324544, 7721324544},
    {"qwen1.5-14b", 40, 14167290880, 14167290880},
    {"qwen1.5-72b", 80, 72287920128, 72287920128},
    {"qwen2-7b", 28, 7615616512, 7615616512},
    {"qwen2-72b", 80, 72706203648, 72706203648},
    {"qwen2.5-0.5b", 24, 494032768, 494032768},
    {"qwen2.5-1.5b", 28, 1543714304, 1543714304},
    {"qwen2.5-3b", 36, 3085938688, 3085938688},
    {"qwen2.5-7b", 28, 7615616512, 7615616512},
    {"qwen2.5-14b", 48, 14770033664, 14770033664},
    {"qwen2.5-32b", 64, 32763876352, 32763876352},
    {"qwen2.5-72b", 80, 72706203648, 72706203648},
    {"qwen3-0.6b", 28, 596049920, 596049920},
    {"qwen3-1.7b", 28, 1720574976, 1720574976},
    {"qwen3-4b", 36, 4022468096, 4022468096},
    {"qwen3-8b", 36, 8190735360, 8190735360},
    {"qwen3-14b", 40, 14768307200, 14768307200},
    {"qwen3-32b", 64, 32762123264, 32762123264},
    {"qwen3-30b-a3b", 48, 30532122624, 3353032704},
    {"qwen3-235b-a22b", 94, 235093634560, 22190763520},
    {"qwen3-next-80b-a3b", 48, 81324862720, 3874929408},
    {"qwen3.5-0.8b", 24, 873438784, 752393024},
    {"qwen3.5-2b", 24, 2274069824, 1881825088},
    {"qwen3.5-4b", 32, 4659865088, 4205751296},
    {"qwen3.5-9b", 32, 9653104368, 8953803264},
    {"qwen3.5-27b", 64, 27781427952, 26895998464},
    {"qwen3.5-35b-a3b", 40, 35951822704, 3454988928},
    {"qwen3.5-122b-a10b", 48, 125086497008, 9771288576},
    {"qwen3.5-397b-a17b", 60, 403397928944, 17349040896},
    {"phi-2", 32, 2779683840, 2779683840},
    {"phi-3-mini", 32, 3821079552, 3821079552},
    {"phi-3.5-moe", 32, 41873153344, 6640999744},
    {"gemma-2-2b", 26, 2614341888, 2614341888},
    {"gemma-2-9b", 42, 9241705984, 9241705984},
    {"gemma-2-27b", 46, 27227128320, 27227128320},
    {"gemma-3-1b", 26, 999885952, 999885952},
    {"gemma-3-4b", 34, 4300079472, 3880263168},
    {"gemma-3-12b", 48, 12187325040, 11766034176},
    {"gemma-3-27b", 62, 27432406640, 27009346304},
    {"glm-4-9b", 40, 9399951360, 9399951360},
    {"chatglm2-6b", 28, 6243584000, 6243584000},
    {"chatglm3-6b", 28, 6243584000, 6243584000},
    {"glm-4.5", 92, 358337791296, 33632266144},
    {"glm-4.5-air", 46, 110468824832, 13424129664},
    {"glm-5", 78, 753864139008, 41784728832},
    {"yi-6b", 32, 6061035520, 6061035520},
    {"yi-9b", 48, 8829407232, 8829407232},
    {"yi-34b", 60, 34388917248, 34388917248},
    {"internlm-20b", 60, 20088714240, 20088714240},
    {"internlm2-20b", 48, 19861149696, 19861149696},
    {"falcon-7b", 32, 6921720704, 6921720704},
    {"falcon-40b", 60, 41303293952, 41303293952},
    {"falcon-180b", 80, 178557088768, 178557088768},
    {"gpt-j-6b", 28, 6050882784, 6050882784},
    {"deepseek-moe-16b", 28, 16375728128, 2828650496},
    {"deepseek-v2-lite", 27, 15706484224, 2661150208},
    {"deepseek-v2", 60, 235741434880, 21375800320},
    {"deepseek-v3", 61, 684489845504, 37552297472},
    {"deepseek-v3.2", 61, 685355329792, 38403822336},
    {"gpt-oss-20b", 24, 20914757184, 4187440704},
    {"gpt-oss-120b", 36, 116829156672, 5711982912},
    {"kimi-k2", 61, 1026408232448, 32861500928},
    {"kimi-k2.5", 61, 1026879376368, 32861500928},
    {"minimax-m2", 62, 228689764864, 11030553088},
    {"minimax-m2.5", 62, 228689764864, 11030553088},
    {"dbrx", 40, 131596523520, 36469708800},
    {"grok-1", 64, 315684820992, 83756587008},
    {"bitnet-b1.58-2b-4t", 30, 2412820480, 2412820480},
    {"bitnet-b1.58-3b", 26, 3324387840, 3324387840},
    {"xlstm-7b", 32, 6865424896, 6865424896},
    {"mamba-130m", 24, 129135360, 129135360},
    {"mamba-2.8b", 64, 2768345600, 2768345600},
    {"falcon-mamba-7b", 64, 7272665088, 7272665088},
    {"jamba-v0.1", 32, 51570323328, 12110311296},
    {"jamba-1.5-mini", 32, 51570323328, 12110311296},
    {"jamba-1.5-large", 72, 398555145696, 94149338592},
    {"codestral-mamba-7b", 64, 7285403648, 7285403648},
    {"nemotron-h-8b", 52, 8100852736, 8100852736},
    {"nemotron-h-56b", 118, 56324350464, 56324350464},
    {"nemotron-3-nano-30b-a3b", 52, 31577940288, 3580076352},
    {"nemotron-3-super-120b-a12b", 88, 123611033088, 12770237440},
    {"nemotron-3-ultra-550b-a55b", 108, 549308993536, 56058843136},
    {"llava-1.5-7b", 32, 7063427072, 6738939904},
    {"llava-1.5-13b", 40, 13351494656, 13016519680},
    {"llava-next-7b-vicuna", 32, 7063431168, 6738939904},
    {"llava-next-7b-mistral", 32, 7566747648, 7242256384},
    {"qwen2-vl-7b", 28, 8291375616, 7615616512},
    {"llada-8b", 32, 8015581184, 8015581184},
    {"dream-7b", 28, 7615616512, 7615616512},
    {"mt-nlg-530b", 105, 529600819200, 529600819200},
    {"turing-nlg-17b", 78, 17176845728, 17176845728},
    {"palm-540b", 118, 540356474880, 540356474880},
    {"t5-3b", 48, 2851598336, 2851598336},
    {"switch-base-8", 24, 619339008, 222977280},
    {"switch-base-16", 24, 1072397568, 223051008},
    {"switch-base-32", 24, 1978514688, 223198464},
    {"switch-base-64", 24, 3790748928, 223493376},
    {"switch-base-128", 24, 7415217408, 224083200},
};

/* What the schema cannot hold, or what nobody published: refused rather than guessed. */
static const struct {
    const char *name, *why;
} left_out[] = {
    {"nemotron-h-47b", "the order of its layers was not published"},
    {"pangu-38b", "no dimensions were published"},
    {"qwen2.5-vl-7b", "a vision tower with gated feed-forwards and windowed attention"},
    {"openflamingo-3b", "cross-attention to images between the layers"},
    {"codellama-70b", "no published count was found to check the dimensions against"},
    {"xgen-7b", "no published count was found to check the dimensions against"},
    {"minitron-4b", "no published count was found to check the dimensions against"},
    {"antglm-10b", "no dimensions were published"},
};

enum { MODELS_LEAST = 140 };

static size_t list_models(struct catalogue_entry **entries)
{
    size_t count = 0;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_MODELS, entries, &count), "%s",
              diag_first_error(&diag));
    return count;
}

static const struct model *find(const char *name)
{
    const struct model *model = catalogue_model(&catalogue, &diag, name, NULL);
    cr_assert(model != NULL, "%s", diag_first_error(&diag));
    return model;
}

static double in_scope(const struct model *model, const struct parameter_count *count)
{
    return count->text + (model->published.includes_mtp ? count->mtp : 0) +
           (model->published.includes_vision ? count->vision : 0);
}

Test(catalogue_models, at_least_as_many_as_promised)
{
    struct catalogue_entry *entries;
    size_t count = list_models(&entries), models = 0;
    for (size_t i = 0; i < count; i++)
        models += !entries[i].abstract;
    cr_expect_geq(models, MODELS_LEAST);
}

/* Half a unit of the second digit of a figure of two digits, 0.5% of any other. */
static double published_slack(const struct published *published)
{
    double figure = published->parameters;
    return published->two_digits ? 0.5 * pow(10, floor(log10(figure)) - 1) : 0.005 * figure;
}

/* Those that extend another included. */
Test(catalogue_models, every_count_is_the_published_one)
{
    struct catalogue_entry *entries;
    size_t count = list_models(&entries);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        const struct model *model = find(entries[i].id);
        struct parameter_count parameters;
        model_parameters(model, &parameters);
        double ours = in_scope(model, &parameters), published = model->published.parameters;
        cr_expect(published > 0 && fabs(ours - published) <= published_slack(&model->published),
                  "%s: %.0f, published %.0f", model->id, ours, published);
        cr_expect(model->source_count >= 2, "%s: no sources", model->id);
        cr_expect_not_null(model->architecture, "%s", model->id);
    }
}

Test(catalogue_models, facts_are_reachable_and_agree)
{
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const struct fact *fact = &facts[i];
        const struct model *model = find(fact->name);
        struct parameter_count count;
        model_parameters(model, &count);
        cr_expect_eq(model->layers, fact->layers, "%s", fact->name);
        cr_expect_eq(in_scope(model, &count), fact->parameters, "%s: %.0f, expected %.0f", fact->name,
                     in_scope(model, &count), fact->parameters);
        cr_expect_float_eq(count.active, fact->active, 0.02 * fact->active, "%s: active %.0f, expected %.0f",
                           fact->name, count.active, fact->active);
    }
}

Test(catalogue_models, left_out_are_refused)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        diag = (struct diag){.arena = arena};
        cr_expect_null(catalogue_model(&catalogue, &diag, left_out[i].name, NULL), "%s is there, yet %s",
                       left_out[i].name, left_out[i].why);
    }
}

/* Each id, alias and Hugging Face name leads to its own file: catalogue_model refuses ambiguous ones. */
Test(catalogue_models, names_lead_to_one_file)
{
    struct catalogue_entry *entries;
    size_t count = list_models(&entries);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        const struct model *model = find(entries[i].id);
        cr_expect_str_eq(model->id, entries[i].id);
        if (model->hf_repo != NULL)
            cr_expect_str_eq(find(model->hf_repo)->id, entries[i].id);
        for (size_t a = 0; a < entries[i].aliases.count; a++)
            cr_expect_str_eq(find(entries[i].aliases.items[a])->id, entries[i].id, "%s",
                             entries[i].aliases.items[a]);
    }
}

static double kv_bytes(const char *model, double prompt)
{
    struct question question = {.model = model,
                                .device = "h100-sxm",
                                .devices = 1,
                                .software = "ideal",
                                .kv = "bf16",
                                .batch = 1,
                                .prompt = prompt,
                                .output = 1};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s: %s", model, diag_first_error(&asked.diag));
    double bytes = asked.answer.memory.kv;
    asked_free(&asked);
    return bytes;
}

/* 16-bit KV bytes of a token of context, by hand: 2 bytes x layers with attention x (2 x KV heads x head
 * width, or MLA's latent and RoPE key). */
Test(catalogue_models, kv_bytes_of_a_token)
{
    static const struct {
        const char *model;
        double bytes;
    } known[] = {
        {"llama-2-7b", 524288},            /* 32 x 2 x 32 x 128 */
        {"llama-2-70b", 327680},           /* 80 x 2 x 8 x 128 */
        {"llama-3.1-405b", 516096},        /* 126 x 2 x 8 x 128 */
        {"opt-13b", 819200},               /* 40 x 2 x 40 x 128 */
        {"falcon-7b", 8192},               /* 32 x 2 x 64: one KV head */
        {"palm-540b", 120832},             /* 118 x 2 x 256 */
        {"qwen2.5-7b", 57344},             /* 28 x 2 x 4 x 128 */
        {"qwen3-30b-a3b", 98304},          /* 48 x 2 x 4 x 128 */
        {"glm-4-9b", 40960},               /* 40 x 2 x 2 x 128 */
        {"kimi-k2", 70272},                /* 61 x (512 + 64) */
        {"deepseek-v2", 69120},            /* 60 x (512 + 64) */
        {"deepseek-v3.2", 78324},          /* 61 x (512 + 64), and 61 x 132 of the indexer's keys in fp8 */
        {"glm-5", 100152},                 /* 78 x (512 + 64), and 78 x 132 */
        {"minimax-m2", 253952},            /* 62 x 2 x 8 x 128 */
        {"jamba-1.5-large", 36864},        /* 9 of 72 x 2 x 8 x 128 */
        {"qwen3.5-397b-a17b", 30720},      /* 15 of 60 x 2 x 2 x 256 */
        {"nemotron-3-nano-30b-a3b", 6144}, /* 6 of 52 x 2 x 2 x 128 */
        {"gemma-2-27b", 376832},           /* 46 x 2 x 16 x 128, below the window */
        {"mamba-2.8b", 0},
        /* 8 of 88 and 12 of 108 x 2 x 2 x 128 */
        {"nemotron-3-super-120b-a12b", 8192},
        {"nemotron-3-ultra-550b-a55b", 12288},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double bytes = (kv_bytes(known[i].model, 1025) - kv_bytes(known[i].model, 1)) / 1024;
        cr_expect_float_eq(bytes, known[i].bytes, 1e-6 * known[i].bytes, "%s: %.1f, expected %.0f",
                           known[i].model, bytes, known[i].bytes);
    }
}

/* Layers with a window stop growing: past it only the full ones do. */
Test(catalogue_models, kv_bytes_past_the_window)
{
    static const struct {
        const char *model;
        double window, bytes;
    } known[] = {
        {"gemma-2-9b", 4096, 172032},   /* 21 of 42 x 2 x 8 x 256 */
        {"gemma-3-4b", 1024, 20480},    /* 5 of 34 x 2 x 4 x 256 */
        {"gpt-oss-20b", 128, 24576},    /* 12 of 24 x 2 x 8 x 64 */
        {"llama-4-scout", 8192, 49152}, /* 12 of 48 x 2 x 8 x 128 */
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double past = 2 * known[i].window;
        if (strcmp(known[i].model, "gemma-2-9b") == 0)
            past = known[i].window + 512; /* of a context of 8192 */
        double bytes = (kv_bytes(known[i].model, past + 1024) - kv_bytes(known[i].model, past)) / 1024;
        cr_expect_float_eq(bytes, known[i].bytes, 1e-6 * known[i].bytes, "%s: %.1f, expected %.0f",
                           known[i].model, bytes, known[i].bytes);
    }
}
