#include "cli/commands.h"
#include "cli/weights_path.h"
#include "exec/formats/quantize.h"
#include "spec/gguf_header.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Values are made in the wanted type, so that no second rounding changes them; where its blocks do not divide
 * all rows, in fp32. */
static struct weights *make_random(struct session *session, const char *name, enum weight_type type)
{
    const struct model *model = catalogue_model(&session->catalogue, &session->diag, name, NULL);
    uint64_t seed = (uint64_t)option_number(&session->options, OPTION_RANDOM_SEED);
    struct diag first = {.arena = session->arena};
    if (model == NULL)
        return NULL;
    struct weights *weights = weights_random(session->arena, &first, model, type, seed);
    return weights != NULL ? weights
                           : weights_random(session->arena, &session->diag, model, WEIGHT_F32, seed);
}

static struct weights *open_weights(struct session *session, const char *name, enum weight_type type)
{
    bool random = option_given(&session->options, OPTION_RANDOM_SEED);
    if (random && !holds_weights(name))
        return make_random(session, name, type);
    if (random)
        session_refuse(session, "%.200s has weights; --random-seed makes those of a model's description",
                       name);
    else if (access(name, F_OK) == 0 && !holds_weights(name))
        session_refuse(session, "%.200s has no weights; a description gets random ones with --random-seed N",
                       name);
    else
        return weights_open(session->arena, &session->diag, name);
    return NULL;
}

static bool open_tokenizer(struct session *session, const char *path, struct gguf_header *header)
{
    size_t length;
    const char *bytes = gguf_read(session->arena, &session->diag, path, &length);
    return bytes != NULL && gguf_header_parse(header, session->arena, &session->diag, path, bytes, length);
}

static enum exit_status write_weights(struct session *session, const struct weights *weights,
                                      enum weight_type type)
{
    const char *tokenizer = option_text(&session->options, OPTION_TOKENIZER),
               *out = session->options.operands[1];
    struct gguf_header header;
    struct stat status;
    if (tokenizer != NULL && !open_tokenizer(session, tokenizer, &header))
        return STATUS_BAD;
    struct quantize_options options = {.type = type, .tokenizer = tokenizer != NULL ? &header : NULL};
    if (!weights_quantize(weights, session->arena, &session->diag, out, &options))
        return STATUS_BAD;
    double bytes = stat(out, &status) == 0 ? (double)status.st_size : 0;
    text_printf(&session->out, "wrote %s: %.4g MB, linear layers in %s\n", out, bytes / 1e6,
                weight_layouts[type].name);
    return STATUS_YES;
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    const char *name = option_text(options, OPTION_WEIGHTS);
    if (options->operand_count != 2)
        return session_refuse(session,
                              "quantize what into which file? `rafter quantize IN OUT.gguf --weights TYPE`");
    enum weight_type type = name != NULL ? weight_type_parse(name) : WEIGHT_TYPE_COUNT;
    if (type == WEIGHT_TYPE_COUNT)
        return session_refuse(
            session,
            "--weights %.80s: expected fp32, fp16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, "
            "q5_k or q6_k",
            name != NULL ? name : "is missing");
    struct weights *weights = open_weights(session, options->operands[0], type);
    if (weights == NULL)
        return STATUS_BAD;
    enum exit_status status = write_weights(session, weights, type);
    weights_close(weights);
    return status;
}

const struct command command_quantize = {
    .name = "quantize",
    .summary = "weights as a GGUF file of another type",
    .operands = "IN OUT.gguf",
    .details =
        "IN is a GGUF file, a folder with config.json and *.safetensors, or, with --random-seed, a model's\n"
        "name or description, whose weights are drawn. Linear layers and the embedding take the type of\n"
        "--weights: fp32, fp16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or q6_k; rows that its blocks "
        "do\n"
        "not divide q8_0, or fp16. Vectors, routers and convolutions stay as they are. A GGUF file's "
        "metadata\n"
        "is kept; for the others that of llama, qwen2, qwen3 or qwen3moe is made, and models unlike these "
        "are refused.\n",
    .examples = "  rafter quantize model-f16.gguf model-q8_0.gguf --weights q8_0\n"
                "  rafter quantize ~/models/Llama-3.2-1B llama.gguf --weights q4_k\n"
                "  rafter quantize tinyllama-1.1b random.gguf --weights q8_0 --random-seed 1\n",
    .rules = {.allowed = OPTION_BIT(OPTION_WEIGHTS) | OPTION_BIT(OPTION_RANDOM_SEED) |
                         OPTION_BIT(OPTION_TOKENIZER) | OPTION_BIT(OPTION_HELP),
              .operands_most = 2,
              .operand = "a file"},
    .run = run,
};
