#include "base/file.h"
#include "cli/commands.h"
#include "spec/model_import.h"

#include <string.h>

enum { BYTES_A_VALUE = 2 };

/* Bytes that one more token adds to the KV cache at two bytes a value, over the layers with and without a
 * window. */
static double kv_bytes(const struct model *model, bool windowed)
{
    enum { SCALE_BYTES = 4 }; /* an indexer's key: a byte a value and a scale */
    double values = 0;
    for (size_t i = 0; i < model->block_count; i++) {
        const struct block_spec *block = &model->blocks[i];
        const struct attention_spec *attention = &block->attention;
        double layers = model->block_layers[i];
        if (model_encodes(model, (int)i))
            continue;
        if (block->mixer == MIXER_MLA && !windowed)
            values += layers * (block->mla.kv_lora_rank + block->mla.qk_rope_head_dim);
        if (block->mixer == MIXER_MLA && block->mla.indexer != NULL && !windowed)
            values += layers * (block->mla.indexer->head_dim + SCALE_BYTES) / BYTES_A_VALUE;
        if (block->mixer != MIXER_ATTENTION || (attention->window > 0) != windowed)
            continue;
        int value = attention->v_head_dim > 0 ? attention->v_head_dim : attention->head_dim;
        values += layers * attention->kv_heads * (double)(attention->head_dim + value);
    }
    return BYTES_A_VALUE * values;
}

/* Bytes that a token of the encoder's output takes in the layers that attend to it, at two bytes a value. */
static double source_bytes(const struct model *model)
{
    double values = 0;
    for (size_t i = 0; i < model->block_count; i++)
        values += 2.0 * model->block_layers[i] * model->blocks[i].cross_attention.heads *
                  model->blocks[i].cross_attention.head_dim;
    return BYTES_A_VALUE * values;
}

static void summarise(struct text *out, const struct model *model)
{
    struct parameter_count count;
    model_parameters(model, &count);
    double all = kv_bytes(model, false), windowed = kv_bytes(model, true);
    text_printf(out, "%s: %.4g B parameters", model->name, count.total / 1e9);
    if (count.active < count.text)
        text_printf(out, ", %.4g B of them used by a token", count.active / 1e9);
    text_printf(out, "; %d layers; ", model->layers);
    if (all > 0 || windowed == 0)
        text_printf(out, "%.0f bytes of KV cache a token at 16 bits", all);
    if (windowed > 0)
        text_printf(out, "%s%.0f bytes a token%s within the windows", all > 0 ? ", and " : "", windowed,
                    all > 0 ? "" : " of KV cache at 16 bits");
    if (model->encoder_layers > 0)
        text_printf(out, ", and %.0f bytes a token of the prompt for cross-attention", source_bytes(model));
    text_printf(out, "; weights in %s", model->weight_type.name);
    if (model->expert_type.name[0] != '\0')
        text_printf(out, ", experts in %s", model->expert_type.name);
    text_add(out, "\n");
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static enum exit_status write_description(struct session *session, const struct text *yaml,
                                          const struct model *model)
{
    const char *path = session->file;
    session->file = NULL; /* it holds the description; the summary goes to the terminal */
    if (path == NULL) {
        text_addn(&session->out, yaml->data, yaml->length);
        return STATUS_YES;
    }
    if (!file_write(&session->diag, path, yaml->data, yaml->length))
        return STATUS_BAD;
    summarise(&session->out, model);
    text_printf(&session->out, "wrote %s\n", path);
    return STATUS_YES;
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    const char *file = session->file, *name = option_text(options, OPTION_NAME);
    struct model model;
    struct text yaml = {0};
    if (options->operand_count != 1)
        return session_refuse(session, "import what? A config.json of the Hugging Face Hub or a GGUF file");
    if (file != NULL && !ends_with(file, ".yaml") && strncmp(file, "/dev/", 5) != 0)
        return session_refuse(session, "-o %.200s: descriptions are files that end in .yaml", file);
    bool ok = model_import(session->arena, &session->diag, options->operands[0], name, &model, &yaml);
    enum exit_status status = ok ? write_description(session, &yaml, &model) : STATUS_BAD;
    text_free(&yaml);
    return status;
}

const struct command command_import = {
    .name = "import",
    .summary = "a model from a Hugging Face config.json or a GGUF file, as a description",
    .operands = "FILE",
    .details = "Prints the description, or writes it with -o and says what it comes to. Sizes, layers and "
               "element types\n"
               "are read; of a GGUF file only the header. What a description cannot say is refused or warned "
               "about.\n",
    .examples = "  rafter import config.json --name meta-llama/Llama-3.1-8B -o models/my-llama.yaml\n"
                "  rafter import model.gguf | less\n",
    .rules = {.allowed = OPTION_BIT(OPTION_NAME) | OPTION_BIT(OPTION_FILE) | OPTION_BIT(OPTION_HELP),
              .operands_most = 1,
              .operand = "a file"},
    .run = run,
};
