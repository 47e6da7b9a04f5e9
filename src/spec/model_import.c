#include "spec/model_import.h"

#include "spec/gguf_model.h"
#include "spec/hf_config.h"
#include "spec/model_writer.h"

#include <math.h>
#include <string.h>

/* Counts of a file's tensors and of its dimensions differ by small things such as frequencies of RoPE. */
static const double COUNT_TOLERANCE = 0.005;

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool printable(const char *text, size_t length)
{
    if (length == 0 || length > 200)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] == 0x7f)
            return false;
    return true;
}

/* The file's own name without its ending; for a config.json that of its folder. */
static const char *file_name(struct arena *arena, const char *path)
{
    const char *base = last_part(path), *ending = strrchr(base, '.');
    size_t length = ending != NULL ? (size_t)(ending - base) : strlen(base);
    if (strcmp(base, "config.json") == 0 && base > path + 1) {
        const char *end = base - 1, *from = end;
        while (from > path && from[-1] != '/')
            from--;
        if (end > from && *from != '.' && printable(from, (size_t)(end - from)))
            return arena_strndup(arena, from, (size_t)(end - from));
    }
    return printable(base, length) ? arena_strndup(arena, base, length) : "imported";
}

static bool name_model(struct arena *arena, const char *path, const char *name, struct model *model)
{
    if (name != NULL) {
        model->name = arena_strdup(arena, last_part(name));
        model->hf_repo = strchr(name, '/') != NULL ? arena_strdup(arena, name) : NULL;
    } else if (model->name == NULL) {
        model->name = file_name(arena, path);
    }
    if (model->name != NULL && *model->name == '\0')
        model->name = "imported";
    return model->name != NULL;
}

/* Where the figures come from: this file. */
static bool note_source(struct arena *arena, const char *path, struct model *model)
{
    const char **source = ARENA_NEW(arena, const char *);
    model->sources = ARENA_NEW(arena, struct source_note);
    if (source == NULL || model->sources == NULL)
        return false;
    const char *base = last_part(path);
    *source =
        arena_printf(arena, "%s%s%s, read by rafter import", model->hf_repo != NULL ? model->hf_repo : "",
                     model->hf_repo != NULL ? " " : "", printable(base, strlen(base)) ? base : "a file");
    *model->sources = (struct source_note){.path = "dimensions", .sources = {source, 1}};
    model->source_count = 1;
    return *source != NULL;
}

static bool read_gguf(struct arena *arena, struct diag *diag, const char *path, const char *bytes,
                      size_t length, struct model *model, double *parameters)
{
    struct gguf_header header;
    if (!gguf_header_parse(&header, arena, diag, path, bytes, length) ||
        !gguf_model_read(arena, diag, &header, model))
        return false;
    const struct gguf_pair *name = gguf_pair(&header, "general.name");
    if (name != NULL && name->type == GGUF_STRING && printable(name->string, name->length))
        model->name = arena_strndup(arena, name->string, name->length);
    *parameters = gguf_parameters(&header);
    return true;
}

/* Writes the description and reads it back. */
static bool finish(struct arena *arena, struct diag *diag, const char *path, struct model *model,
                   struct text *yaml)
{
    size_t from = yaml->length;
    if (!model_write(model, NULL, yaml))
        return diag_error(diag, (struct source_location){path, 0, 0}, "out of memory");
    const char *title = arena_printf(arena, "%s, as a description", path);
    const char *text = arena_strndup(arena, yaml->data + from, yaml->length - from);
    if (title == NULL || text == NULL)
        return diag_error(diag, (struct source_location){path, 0, 0}, "out of memory");
    const struct yaml_node *root = yaml_parse(arena, diag, title, text, strlen(text));
    struct reader reader = {arena, diag};
    return root != NULL && model_read(&reader, root, model->name, model);
}

static void check_count(struct diag *diag, const char *path, const struct model *model, double parameters)
{
    struct parameter_count count;
    model_parameters(model, &count);
    if (fabs(count.text - parameters) > COUNT_TOLERANCE * parameters)
        diag_warning(
            diag, (struct source_location){path, 0, 0},
            "the tensors hold %.0f parameters, the dimensions give %.0f: something of the model is left out",
            parameters, count.text);
}

bool model_import_bytes(struct arena *arena, struct diag *diag, const char *path, const char *bytes,
                        size_t length, const char *name, struct model *model, struct text *yaml)
{
    double parameters = 0;
    bool gguf = gguf_is(bytes, length);
    if (gguf ? !read_gguf(arena, diag, path, bytes, length, model, &parameters)
             : !hf_config_read(arena, diag, path, bytes, length, model))
        return false;
    if (!name_model(arena, path, name, model) || !note_source(arena, path, model))
        return diag_error(diag, (struct source_location){path, 0, 0}, "out of memory");
    if (!finish(arena, diag, path, model, yaml))
        return false;
    if (gguf)
        check_count(diag, path, model, parameters);
    return true;
}

bool model_import(struct arena *arena, struct diag *diag, const char *path, const char *name,
                  struct model *model, struct text *yaml)
{
    size_t length;
    const char *bytes = gguf_read(arena, diag, path, &length);
    return bytes != NULL && model_import_bytes(arena, diag, path, bytes, length, name, model, yaml);
}
