#include "fit/sample_filter.h"

#include "base/suggest.h"
#include "base/text.h"
#include "fit/fit.h"

#include <string.h>

static bool begins_with_words(const char *text, const char *words, char end)
{
    size_t length = strlen(words);
    return strncasecmp(text, words, length) == 0 && (text[length] == '\0' || text[length] == end);
}

static bool takes_family(const struct sample_filter *filter, int family)
{
    if (!filter->family)
        return true;
    return family != FAMILY_UNKNOWN && begins_with_words(families[family].name, filter->family, '-');
}

static bool takes_source(const struct sample_filter *filter, const char *source)
{
    return !filter->source || begins_with_words(source, filter->source, ' ');
}

static bool takes_dtype(const struct sample_filter *filter, const char *dtype)
{
    return !filter->dtype || strcasecmp(filter->dtype, dtype) == 0;
}

bool filter_takes(const struct sample_filter *filter, int family, const char *source, const char *dtype)
{
    return takes_family(filter, family) && takes_source(filter, source) && takes_dtype(filter, dtype);
}

/* Adds a name that is not there yet. */
static void note_name(const char **names, size_t *count, size_t most, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (*count < most)
        names[(*count)++] = name;
}

static bool refuse_name(struct diag *diag, const char *what, const char *asked, const char *const *names,
                        size_t count)
{
    struct text list = {0};
    const char *nearest = suggest_nearest(asked, names, count);
    for (size_t i = 0; i < count && !nearest; i++) { /* "vlm" is near to the vllm of "vllm 0.14.0" */
        const char *word = arena_strndup(diag->arena, names[i], strcspn(names[i], " "));
        nearest = word ? suggest_nearest(asked, &word, 1) : NULL;
    }
    for (size_t i = 0; i < count; i++)
        text_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    diag_error(diag, NOWHERE, "no sample has the %s %.80s%s%s%s; there are %s", what, asked,
               nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "",
               list.data && !list.failed ? list.data : "none");
    text_free(&list);
    return false;
}

static bool check_family_name(const struct sample_filter *filter, struct diag *diag)
{
    const char *names[FAMILY_COUNT];
    for (int f = 0; f < FAMILY_COUNT; f++) {
        if (takes_family(filter, f))
            return true;
        names[f] = families[f].name;
    }
    const char *nearest = suggest_nearest(filter->family, names, FAMILY_COUNT);
    return diag_error(diag, NOWHERE, "unknown family \"%.80s\"%s%s%s", filter->family,
                      nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

bool filter_check(const struct sample_filter *filter, const struct sample_set *set, struct diag *diag)
{
    enum { NAMES_MOST = 64 };
    const char *of_family[NAMES_MOST], *sources[NAMES_MOST], *dtypes[NAMES_MOST];
    size_t family_count = 0, source_count = 0, dtype_count = 0;
    if (filter->family && !check_family_name(filter, diag))
        return false;
    for (size_t i = 0; i < set->count; i++) {
        const struct sample *sample = &set->samples[i];
        const struct sample_block *block = &set->blocks[sample->block];
        note_name(of_family, &family_count, NAMES_MOST, families[block->family].name);
        if (!takes_family(filter, (int)block->family))
            continue;
        note_name(sources, &source_count, NAMES_MOST, block->source);
        if (!takes_source(filter, block->source))
            continue;
        note_name(dtypes, &dtype_count, NAMES_MOST, sample->dtype);
        if (takes_dtype(filter, sample->dtype))
            return true;
    }
    if (set->count == 0)
        return true; /* said elsewhere */
    if (source_count == 0)
        return refuse_name(diag, "family", filter->family, of_family, family_count);
    if (dtype_count == 0)
        return refuse_name(diag, "source", filter->source, sources, source_count);
    return refuse_name(diag, "dtype", filter->dtype, dtypes, dtype_count);
}

size_t filter_choose(const struct sample_filter *filter, const struct sample_set *set, size_t block,
                     struct arena *arena, size_t **chosen)
{
    const struct sample_block *of = &set->blocks[block];
    size_t count = choose_samples(set, block, arena, NULL, NULL, chosen), kept = 0;
    for (size_t i = 0; i < count; i++)
        if (filter_takes(filter, (int)of->family, of->source, set->samples[(*chosen)[i]].dtype))
            (*chosen)[kept++] = (*chosen)[i];
    return kept;
}
