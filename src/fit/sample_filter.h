/* Which samples are meant, by name. */
#ifndef RAFTER_FIT_SAMPLE_FILTER_H
#define RAFTER_FIT_SAMPLE_FILTER_H

#include "fit/samples.h"

/* NULL: any. family: a family's name or its first word ("attention"); source: the whole or its first words
 * ("vllm"). Case does not count. */
struct sample_filter {
    const char *family, *source, *dtype;
};

/* family may be FAMILY_UNKNOWN, which only no filter takes. */
bool filter_takes(const struct sample_filter *filter, int family, const char *source, const char *dtype);

/* false with an error when no sample of a set that has some is left: which name none has, and the nearest of
 * those that there are. */
bool filter_check(const struct sample_filter *filter, const struct sample_set *set, struct diag *diag);

/* The samples of a block that the filter leaves, as choose_samples gives them. */
size_t filter_choose(const struct sample_filter *filter, const struct sample_set *set, size_t block,
                     struct arena *arena, size_t **chosen);

#endif
