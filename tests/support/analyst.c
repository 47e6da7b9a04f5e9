#include "support/analyst.h"

#include <criterion/criterion.h>
#include <stdlib.h>

void analyst_open(struct analyst *analyst)
{
    *analyst = (struct analyst){.arena = arena_new(0)};
    analyst->diag.arena = analyst->arena;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&analyst->catalogue, analyst->arena);
    cr_assert(catalogue_remember(&analyst->catalogue));
    analyst->evaluator = (struct evaluator){.catalogue = &analyst->catalogue, .scratch = arena_new(0)};
}

void analyst_close(struct analyst *analyst)
{
    catalogue_forget(&analyst->catalogue);
    arena_free(analyst->evaluator.scratch);
    arena_free(analyst->arena);
}

struct question with_system(struct analyst *analyst, struct question question)
{
    question.system =
        catalogue_system(&analyst->catalogue, &analyst->diag, question.device, question.devices, NULL);
    cr_assert_not_null(question.system, "%s", diag_first_error(&analyst->diag));
    return question;
}
