#include "cli/kinds.h"

#include "base/suggest.h"

#include <string.h>

static const struct {
    const char *many, *one;
    enum catalogue_kind catalogue;
} kinds[KIND_COUNT] = {
    [KIND_HARDWARE] = {"hardware", "device", CATALOGUE_HARDWARE},
    [KIND_MODELS] = {"models", "model", CATALOGUE_MODELS},
    [KIND_SOFTWARE] = {"software", "profile", CATALOGUE_SOFTWARE},
    [KIND_WORKLOADS] = {"workloads", "workload", CATALOGUE_WORKLOADS},
    [KIND_TECHNIQUES] = {"techniques", "technique", CATALOGUE_TECHNIQUES},
    [KIND_MECHANISMS] = {"mechanisms", "mechanism", CATALOGUE_KIND_COUNT},
    [KIND_TYPES] = {"types", "type", CATALOGUE_KIND_COUNT},
};

const char *kind_name(enum kind kind)
{
    return kinds[kind].many;
}

enum catalogue_kind kind_catalogue(enum kind kind)
{
    return kinds[kind].catalogue;
}

enum kind kind_parse(struct diag *diag, const char *name)
{
    const char *names[KIND_COUNT];
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        names[kind] = kinds[kind].many;
        if (strcmp(name, kinds[kind].many) == 0 || strcmp(name, kinds[kind].one) == 0)
            return (enum kind)kind;
    }
    const char *nearest = suggest_nearest(name, names, KIND_COUNT);
    diag_error(diag, NOWHERE,
               "unknown kind \"%.80s\"%s%s%s; there are hardware, models, software, workloads, techniques, "
               "mechanisms, types",
               name, nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
               nearest != NULL ? "?" : "");
    return KIND_COUNT;
}
