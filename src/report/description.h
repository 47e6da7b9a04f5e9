/* Descriptions as lists of figures: each with its place, its text, its SI value and where it comes from. */
#ifndef RAFTER_REPORT_DESCRIPTION_H
#define RAFTER_REPORT_DESCRIPTION_H

#include "mechanism/mechanism.h"
#include "report/json.h"
#include "report/table.h"

struct described {
    const char *path; /* "tiers.hbm.bandwidth" */
    const char *text; /* as written */
    bool measures;    /* has a unit: si and unit hold */
    double si;
    const char *unit;                  /* "byte/s" */
    bool empirical;                    /* a technique's measured input */
    const struct string_list *sources; /* NULL: none given */
};

struct description_list {
    struct arena *arena;
    struct described *items;
    size_t count, capacity;
    const struct source_note *notes;
    size_t note_count;
    bool failed; /* memory ran out */
};

/* Adds the figures of a map that the schema describes, `prefix` in front of their paths. What is shown
 * elsewhere (name, aliases, sources, calibration ...) is left out. */
void describe_map(struct description_list *list, const struct schema *schema, const struct yaml_node *map,
                  const char *prefix);

/* Adds the parameters that a technique gives its mechanisms. */
void describe_uses(struct description_list *list, const struct technique *technique);

/* Whether "unverified" is among the sources. */
bool is_unverified(const struct described *figure);
size_t count_unverified(const struct description_list *list);

/* A row a figure; sources as numbers of the list that description_sources adds below it. */
struct table *description_table(const struct description_list *list, struct arena *arena);
void description_sources(const struct description_list *list, bool markdown, struct text *out);
/* [{path, text, si, unit, empirical, sources[]}] */
json_t *description_json(const struct description_list *list);

/* The calibrated scalars of a device or software, a row a block; NULL when there are none. */
struct table *calibration_table(const struct calibration *calibrations, size_t count, struct arena *arena);

/* A mechanism's parameters: name, unit, range, default, role, meaning. */
struct table *parameter_table(const struct mechanism *mechanism, struct arena *arena);
json_t *mechanism_json(const struct mechanism *mechanism);
bool parameter_is_empirical(const struct mechanism *mechanism, const char *key);

#endif
