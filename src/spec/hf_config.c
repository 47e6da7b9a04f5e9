#include "spec/hf_config.h"

#include "base/suggest.h"
#include "spec/hf_build.h"

#include <string.h>

enum { NAMES_MOST = 128 };

/* What reads a config: one of the three. */
struct reading {
    const struct hf_decoder *decoder;
    const struct hf_recurrent *recurrent;
    const struct hf_multimodal *multimodal;
};

static bool known(const struct reading *reading)
{
    return reading->decoder != NULL || reading->recurrent != NULL || reading->multimodal != NULL;
}

/* By its class, or where the config has none by its model_type. */
static bool is(const char *architecture, const char *type, const char *wanted, const char *wanted_type)
{
    if (wanted != NULL)
        return strcmp(architecture, wanted) == 0;
    return wanted_type != NULL && strcmp(type, wanted_type) == 0;
}

static struct reading look_up(const char *architecture, const char *type)
{
    struct reading reading = {.decoder = hf_decoder_find(architecture, type)};
    for (size_t i = 0; i < hf_recurrent_count; i++)
        if (is(hf_recurrents[i].architecture, hf_recurrents[i].type, architecture, type))
            reading.recurrent = &hf_recurrents[i];
    for (size_t i = 0; i < hf_encoder_decoder_count; i++)
        if (is(hf_encoder_decoders[i].architecture, hf_encoder_decoders[i].type, architecture, type))
            reading.recurrent = &hf_encoder_decoders[i];
    for (size_t i = 0; i < hf_multimodal_count; i++)
        if (is(hf_multimodals[i].architecture, hf_multimodals[i].type, architecture, type))
            reading.multimodal = &hf_multimodals[i];
    return reading;
}

static const char *nearest_name(const char *name)
{
    const char *names[NAMES_MOST];
    size_t count = hf_decoder_names(names, NAMES_MOST / 2);
    for (size_t i = 0; i < hf_recurrent_count && count < NAMES_MOST; i++)
        names[count++] = hf_recurrents[i].architecture;
    for (size_t i = 0; i < hf_encoder_decoder_count && count < NAMES_MOST; i++)
        names[count++] = hf_encoder_decoders[i].architecture;
    for (size_t i = 0; i < hf_multimodal_count && count < NAMES_MOST; i++)
        names[count++] = hf_multimodals[i].architecture;
    return suggest_nearest(name, names, count);
}

static bool refuse(const struct hf_object *root, const char *architecture, const char *type)
{
    const char *name = architecture != NULL ? architecture : type;
    const char *key = architecture != NULL ? "architectures" : "model_type";
    if (hf_bool(root, "is_encoder_decoder", false))
        return hf_error(
            root, key,
            "\"%s\" is an encoder-decoder of an unknown kind, expected a T5 or Switch Transformers", name);
    const char *nearest = nearest_name(name);
    return hf_error(
        root, key,
        "unknown architecture \"%s\"%s%s%s; its layers would have to be written by hand: docs/schemas.md, "
        "models",
        name, nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "\"?" : "");
}

/* architectures[0]; NULL when there is none. */
static const char *architecture_of(const struct hf_object *object)
{
    const json_t *list = json_object_get(object->object, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    return name != NULL && strlen(name) <= 200 ? name : NULL;
}

static bool build_text(struct hf_build *build, const struct reading *reading)
{
    if (reading->recurrent != NULL)
        return reading->recurrent->build(build);
    return hf_decoder_build(build, reading->decoder);
}

/* The language model of a multimodal one: in text_config, or in the config itself (Qwen2-VL). */
static bool find_text(const struct hf_object *root, const struct hf_multimodal *multimodal,
                      struct hf_object *text, struct reading *reading)
{
    *text = *root;
    if (!hf_part(root, "text_config|llm_config|language_config", true, text))
        text->object = root->object;
    bool apart = text->object != root->object;
    const char *architecture = apart ? architecture_of(text) : NULL;
    const char *type = apart ? hf_text(text, "model_type", multimodal->text_type) : multimodal->text_type;
    *reading = look_up(architecture, type);
    if (reading->decoder == NULL && reading->recurrent == NULL)
        *reading = look_up(NULL, multimodal->text_type);
    return reading->decoder != NULL || reading->recurrent != NULL;
}

static bool read_vision(const struct hf_object *root, const struct hf_multimodal *multimodal,
                        struct model *model)
{
    struct hf_object tower;
    if (!hf_part(root, "vision_config", true, &tower))
        return hf_error(root, "vision_config", "missing, expected an object {...}");
    model->vision = ARENA_NEW(root->arena, struct vision_spec);
    if (model->vision == NULL)
        return hf_error(root, "vision_config", "out of memory");
    return multimodal->vision(root, &tower, model->hidden, model->vision);
}

static bool read_root(const struct hf_object *root, struct hf_build *build)
{
    struct model *model = build->model;
    const char *architecture = architecture_of(root), *type = hf_text(root, "model_type", NULL);
    if (architecture == NULL && type == NULL)
        return hf_error(root, "architectures", "missing, expected a list such as [\"LlamaForCausalLM\"]");
    struct reading reading = look_up(architecture, type);
    if (!known(&reading))
        return refuse(root, architecture, type);
    const struct hf_multimodal *multimodal = reading.multimodal;
    build->config = *root;
    if (multimodal != NULL && !find_text(root, multimodal, &build->config, &reading))
        return hf_error(root, "text_config", "its architecture is unknown");
    if (!build_text(build, &reading))
        return false;
    if (multimodal != NULL && !read_vision(root, multimodal, model))
        return false;
    const char *class = multimodal != NULL          ? multimodal->architecture
                        : reading.recurrent != NULL ? reading.recurrent->architecture
                                                    : architecture;
    model->architecture = arena_strdup(root->arena, class != NULL ? class : type);
    return hf_quantization(root, &build->config, model) && hf_stacks(root->arena, build);
}

static bool prepare(struct hf_build *build, struct arena *arena, struct model *model)
{
    *model = (struct model){0};
    model->blocks = ARENA_ARRAY(arena, struct block_spec, BLOCKS_MOST);
    build->model = model;
    build->blocks = model->blocks;
    return model->blocks != NULL;
}

bool hf_config_read(struct arena *arena, struct diag *diag, const char *name, const char *text, size_t length,
                    struct model *model)
{
    struct json_file file;
    struct hf_build *build = ARENA_NEW(arena, struct hf_build);
    int errors = diag->errors;
    if (build == NULL || !prepare(build, arena, model))
        return diag_error(diag, (struct source_location){name, 0, 0}, "out of memory");
    if (!json_file_parse(&file, arena, diag, name, text, length))
        return false;
    struct hf_object root = {.file = &file, .object = file.root, .path = "", .arena = arena, .diag = diag};
    bool ok = read_root(&root, build);
    json_file_close(&file);
    if (!ok && diag->errors == errors)
        return diag_error(diag, (struct source_location){name, 0, 0}, "out of memory");
    return ok && diag->errors == errors;
}
