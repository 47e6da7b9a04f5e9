#include "report/description.h"

#include <string.h>

enum { CITED_MOST = 64 }; /* further sources are written out where they are cited */

/* The sources of a list, each once, in the order of first mention. */
struct citations {
    const char *sources[CITED_MOST];
    size_t count;
};

/* Counted from 1; 0: not among them. */
static size_t citation_number(const struct citations *citations, const char *source)
{
    for (size_t i = 0; i < citations->count; i++)
        if (strcmp(citations->sources[i], source) == 0)
            return i + 1;
    return 0;
}

static struct citations collect_citations(const struct description_list *list)
{
    struct citations citations = {.count = 0};
    for (size_t i = 0; i < list->count; i++) {
        const struct string_list *sources = list->items[i].sources;
        for (size_t s = 0; sources != NULL && s < sources->count && citations.count < CITED_MOST; s++) {
            const char *source = sources->items[s];
            if (strcmp(source, "unverified") != 0 && citation_number(&citations, source) == 0)
                citations.sources[citations.count++] = source;
        }
    }
    return citations;
}

/* "[1] [3]", "unverified" */
static const char *marks_of(const struct citations *citations, const struct described *figure,
                            struct arena *arena)
{
    const char *marks = "";
    for (size_t i = 0; figure->sources != NULL && i < figure->sources->count && marks != NULL; i++) {
        const char *source = figure->sources->items[i], *gap = marks[0] != '\0' ? " " : "";
        size_t number = citation_number(citations, source);
        marks = number > 0 ? arena_printf(arena, "%s%s[%zu]", marks, gap, number)
                           : arena_printf(arena, "%s%s%s", marks, gap, source);
    }
    return marks;
}

struct table *description_table(const struct description_list *list, struct arena *arena)
{
    struct citations citations = collect_citations(list);
    struct table *table = table_new(arena);
    table_column(table, "figure", "figure", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "text", "value", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "si", "SI", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "unit", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "role", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "sources", "source", SIDE_LEFT, COLUMN_BOTH);
    for (size_t i = 0; i < list->count; i++) {
        const struct described *figure = &list->items[i];
        table_row(table, TONE_PLAIN);
        table_text(table, figure->path);
        table_text(table, figure->text);
        if (figure->measures)
            table_number(table, figure->si, arena_printf(arena, "%.6g", figure->si));
        else
            table_text(table, "");
        table_text(table, figure->measures ? figure->unit : "");
        table_text(table, figure->empirical ? "empirical" : "");
        table_tone(table, TONE_WARN);
        table_text(table, marks_of(&citations, figure, arena));
        table_tone(table, is_unverified(figure) ? TONE_WARN : TONE_MUTED);
    }
    return list->failed ? NULL : table;
}

void description_sources(const struct description_list *list, bool markdown, struct text *out)
{
    struct citations citations = collect_citations(list);
    for (size_t i = 0; i < citations.count; i++)
        text_printf(out, "%s[%zu] %s\n", markdown ? "- " : "", i + 1, citations.sources[i]);
}

json_t *description_json(const struct description_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct described *figure = &list->items[i];
        json_t *object = json_object();
        json_object_set_new(object, "path", json_text(figure->path));
        json_object_set_new(object, "text", json_text(figure->text));
        json_object_set_new(object, "si", figure->measures ? json_figure(figure->si) : json_null());
        json_object_set_new(object, "unit", figure->measures ? json_text(figure->unit) : json_null());
        json_object_set_new(object, "empirical", json_boolean(figure->empirical));
        json_object_set_new(object, "sources",
                            figure->sources != NULL
                                ? json_texts(figure->sources->items, figure->sources->count)
                                : json_array());
        json_array_append_new(array, object);
    }
    return array;
}
