#include "spec/technique.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(technique, .init = set_up, .fini = tear_down);

static bool read_text(const char *text, struct technique *technique)
{
    struct reader reader = {arena, &diag};
    diag = (struct diag){.arena = arena};
    const struct yaml_node *root = yaml_parse(arena, &diag, "test.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    return technique_read(&reader, root, "test", technique);
}

Test(technique, mechanisms_keep_their_order_and_places)
{
    struct technique technique;
    cr_assert(read_text("name: T\npaper: arXiv:2405.04532\nsoftware: trtllm\nmechanisms:\n"
                        "  - name: weight_quantization\n"
                        "    on: [draft]\n"
                        "    parameters: {type: int4-g128, ratio: 0.5}\n"
                        "  - name: shared_prefix\n",
                        &technique),
              "%s", diag_first_error(&diag));
    cr_assert_eq(technique.use_count, 2);
    const struct mechanism_use *use = &technique.uses[0];
    cr_assert_str_eq(use->name, "weight_quantization");
    cr_assert_eq(use->where.line, 5);
    cr_assert_eq(use->on.count, 1);
    cr_assert_eq(use->parameter_count, 2);
    cr_assert_str_eq(use->parameters[1].key, "ratio");
    cr_assert_str_eq(use->parameters[1].value->scalar, "0.5");
    cr_assert_eq(use->parameters[1].value->where.line, 7);
    cr_assert_eq(technique.uses[1].parameter_count, 0);
    cr_assert_eq(technique.uses[1].on.count, 0);
}

Test(technique, wrong_techniques_are_refused)
{
    const char *const cases[][2] = {
        {"name: T\n", "mechanisms"},
        {"name: T\nmechanisms: [{parameters: {a: 1}}]\n", "name"},
        {"name: T\nmechanisms: [{name: m, parameters: [1]}]\n", "parameters"},
        {"name: T\nmechanisms: [{name: m, paramters: {a: 1}}]\n", "parameters"},
        {"name: T\nmechanisms: m\n", "mechanisms"},
    };
    struct technique technique;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_not(read_text(cases[i][0], &technique), "taken: %s", cases[i][0]);
        cr_assert(strstr(diag_first_error(&diag), cases[i][1]) != NULL, "%s", diag_first_error(&diag));
    }
}
